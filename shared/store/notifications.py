"""Notifications: a pub/sub connection that receives which streams have new entries.

redis-py's PubSub costs several times what a notification needs, and every event publishes one. So redis-py only opens
the connection, with all options of the URL, and its bytes are read here, many notifications at a time.
"""

import random
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, TypeVar

import hiredis
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.errors import StoreUnavailableError
from shared.keys import IDLE_CHANNEL
from shared.store.redis.connection import Connection, redis_errors

_READ_BYTES: Final = 65_536
_KINDS: Final = (b"message", b"subscribe")


@contextmanager
def subscription_errors() -> Iterator[None]:
    """As redis_errors; a connection that was closed meanwhile has no writer any more."""
    try:
        with redis_errors():
            yield
    except (AttributeError, hiredis.HiredisError) as error:
        raise StoreUnavailableError from error


class Subscription:
    """One open subscription connection. Every method raises StoreUnavailableError when Redis is gone."""

    def __init__(self, connection: Any) -> None:  # of redis-py, which leaves what we need of it untyped
        self._connection = connection
        self._stream = connection._reader
        self._transport = connection._writer.transport
        self._replies = hiredis.Reader(replyError=RedisConnectionError)

    async def watch(self, channels: Iterable[str]) -> None:
        """Subscribe to these as well; `received` returns each once when Redis has confirmed it."""
        await self._send("SUBSCRIBE", *channels)

    async def forget(self, channels: Iterable[str]) -> None:
        """Unsubscribe from these."""
        await self._send("UNSUBSCRIBE", *channels)

    async def ping(self) -> None:
        """Ask for a pong, which makes `received` return, maybe with nothing."""
        await self._send("PING")

    async def received(self) -> Sequence[str]:
        """Wait for the next notifications and confirmed subscriptions; return the channels of one read together.

        Between two calls nothing is read, so that notifications of a busy time collect in the kernel.
        """
        with subscription_errors():
            self._transport.resume_reading()
            received = await self._stream.read(_READ_BYTES)
            if not received:
                raise RedisConnectionError("Redis closed the pub/sub connection.")
            self._transport.pause_reading()
            self._replies.feed(received)
            return list(self._notified())

    async def _send(self, *command: str) -> None:
        with subscription_errors():
            await self._connection.send_command(*command, check_health=False)

    def _notified(self) -> Iterator[str]:
        while (reply := self._replies.gets()) is not False:
            if isinstance(reply, Exception):
                raise reply
            if isinstance(reply, list) and reply[0] in _KINDS:
                yield reply[1].decode()


L = TypeVar("L", bound=Subscription)


class Notifications:
    """Opens subscription connections."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Subscription]:
        """Yield a connection that is subscribed to no thread yet; raises StoreUnavailableError."""
        # In a cluster each node passes on what was published on another.
        redis = random.choice(await self._connection.servers())  # noqa: S311 - no secret
        async with open_subscription(redis, Subscription) as subscription:
            yield subscription


@asynccontextmanager
async def open_subscription(redis: Redis, kind: Callable[[Any], L]) -> AsyncIterator[L]:
    """Yield a subscription to one server, with a connection of its pool; raises StoreUnavailableError."""
    pool: Any = redis.connection_pool  # redis-py leaves it untyped
    with redis_errors():
        connection = await pool.get_connection()
    try:
        subscription = kind(connection)
        await Subscription.watch(subscription, [IDLE_CHANNEL])
        yield subscription
    finally:
        with redis_errors():
            await connection.disconnect(nowait=True)
        await pool.release(connection)
