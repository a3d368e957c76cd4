"""Notifications, which say that a stream has new entries or that a run is cancelled: received over Redis pub/sub.

A NotificationListener keeps one subscription open for a service. redis-py's PubSub costs several times what a
notification needs, and every event publishes one. So redis-py only opens the connection, with all options of the URL,
and its bytes are read here, many notifications at a time.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

import hiredis
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.errors import StoreUnavailableError
from shared.keys import IDLE_CHANNEL
from shared.store.redis.errors import redis_errors

_READ_BYTES: Final = 65_536
_KINDS: Final = (b"message", b"subscribe")

logger = logging.getLogger(__name__)


class NotificationSubscription(Protocol):
    """An open connection that receives notifications."""

    async def watch(self, channels: Iterable[str]) -> None:
        """Listen to these as well."""

    async def forget(self, channels: Iterable[str]) -> None:
        """Listen to these no longer."""

    async def ping(self) -> None:
        """Make `received` return."""

    async def received(self) -> Sequence[str]:
        """Return channels that were notified, or are subscribed to from now on; none for an answer to a ping."""


class NotificationSource(Protocol):
    """Opens subscriptions."""

    def open(self) -> AbstractAsyncContextManager[NotificationSubscription]:
        """Yield a subscription that is closed at the end of the block."""


@dataclass(frozen=True, slots=True)
class ListenerTimings:
    """Intervals and timeouts, in seconds."""

    batch_interval: float = 0.001  # between two reads of notifications, so that busy times are handled in batches
    retry: float = 0.5  # between two attempts to reach a Redis that does not answer
    dead_after: float = 6.0  # the connection is pinged; without an answer for so long it is dead


class NotificationListener:
    """Subscribes to the `wanted` channels; calls `notify` for each notification and each new subscription.

    `fallback` says in the log what happens while the subscription is lost.
    """

    def __init__(
        self,
        notifications: NotificationSource,
        timings: ListenerTimings,
        *,
        wanted: Collection[str],
        notify: Callable[[str], None],
        fallback: str,
    ) -> None:
        self._notifications = notifications
        self._timings = timings
        self._fallback = fallback
        self._wanted = wanted
        self._notify = notify
        self._stale: set[str] = set()  # channels that may have become wanted or unwanted
        self._changed = asyncio.Event()
        self._received_at = 0.0
        self.is_connected = True

    def note_change(self, channel: str) -> None:
        """Check whether this channel is wanted now, or still."""
        self._stale.add(channel)
        self._changed.set()

    async def run(self) -> None:
        """Listen until cancelled; a subscription that breaks is opened again."""
        is_cancelled = False
        while not is_cancelled:
            try:
                async with self._notifications.open() as subscription:
                    try:
                        await self._serve(subscription)
                    except asyncio.CancelledError:
                        is_cancelled = True  # the failure of a connection that is then closed would hide it
                        raise
            except* (StoreUnavailableError, TimeoutError):
                self._log_whether_connected(False)
            if not is_cancelled:
                await asyncio.sleep(self._timings.retry)
        raise asyncio.CancelledError

    async def _serve(self, subscription: NotificationSubscription) -> None:
        async with asyncio.TaskGroup() as tasks:
            self._log_whether_connected(True)
            self._received_at = asyncio.get_running_loop().time()
            tasks.create_task(self._listen(subscription))
            tasks.create_task(self._keep_subscribed(subscription))

    def _log_whether_connected(self, is_connected: bool) -> None:
        if is_connected and not self.is_connected:
            logger.info("Redis pub/sub connected again")
        elif self.is_connected and not is_connected:
            logger.warning("Redis pub/sub lost; %s", self._fallback)
        self.is_connected = is_connected

    async def _listen(self, subscription: NotificationSubscription) -> None:
        while True:
            channels = await subscription.received()
            self._received_at = asyncio.get_running_loop().time()
            for channel in channels:
                self._notify(channel)
            await asyncio.sleep(self._timings.batch_interval)

    async def _keep_subscribed(self, subscription: NotificationSubscription) -> None:
        """Subscribe to what is wanted and nothing else; ping periodically, so that a dead connection is noticed."""
        watched: set[str] = set()
        self._stale.update(self._wanted)
        while True:
            self._changed.clear()
            stale, self._stale = self._stale, set()
            added = {channel for channel in stale if channel in self._wanted and channel not in watched}
            removed = {channel for channel in stale if channel in watched and channel not in self._wanted}
            if added:
                watched |= added
                await subscription.watch(added)
            if removed:
                watched -= removed
                await subscription.forget(removed)
            await self._wait_or_ping(subscription)

    async def _wait_or_ping(self, subscription: NotificationSubscription) -> None:
        """Wait for a change; without one, ping."""
        try:
            async with asyncio.timeout(self._timings.dead_after / 3):
                await self._changed.wait()
        except TimeoutError:
            if asyncio.get_running_loop().time() - self._received_at > self._timings.dead_after:
                raise
            await subscription.ping()


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
    """Opens subscription connections to one server."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Subscription]:
        """Yield a connection that is subscribed to nothing yet; raises StoreUnavailableError."""
        async with open_subscription(self._redis, Subscription) as subscription:
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
