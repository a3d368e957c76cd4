"""The bells of threads: a connection that hears which streams have something new."""

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Any

from shared.errors import StoreUnavailableError
from shared.keys import IDLE_BELL
from shared.store.connection import Connection, redis_errors


@contextmanager
def _line_errors() -> Iterator[None]:
    """As redis_errors; a line that the listening task has just found dead has no writer any more."""
    try:
        with redis_errors():
            yield
    except AttributeError as error:
        raise StoreUnavailableError from error


class BellLine:
    """One open subscription connection. Every method raises StoreUnavailableError when Redis is gone."""

    def __init__(self, pubsub: Any) -> None:  # redis-py leaves its PubSub untyped
        self._pubsub = pubsub

    async def watch(self, bells: Iterable[str]) -> None:
        """Listen to these as well; `heard` returns each once more when Redis has confirmed it."""
        with _line_errors():
            await self._pubsub.subscribe(*bells)

    async def forget(self, bells: Iterable[str]) -> None:
        """Listen to these no longer."""
        with _line_errors():
            await self._pubsub.unsubscribe(*bells)

    async def ping(self) -> None:
        """Ask for a sign of life; `heard` returns None for it."""
        with _line_errors():
            await self._pubsub.ping()

    async def heard(self) -> str | None:
        """Wait for the next bell that rang, or is watched only from now on (after a reconnect too)."""
        with redis_errors():
            message = await self._pubsub.get_message(timeout=None)
        if message is None or message["type"] not in ("message", "subscribe"):
            return None
        channel: bytes = message["channel"]
        return channel.decode()


class Bells:
    """Opens subscription connections."""

    def __init__(self, connection: Connection) -> None:
        self._redis = connection.redis

    @asynccontextmanager
    async def open(self) -> AsyncIterator[BellLine]:
        """Yield a connection that listens to nothing of a thread yet; raises StoreUnavailableError."""
        async with aclosing(self._redis.pubsub()) as pubsub:
            line = BellLine(pubsub)
            await line.watch([IDLE_BELL])
            yield line
