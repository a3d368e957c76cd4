"""Notifications in a Redis Cluster: a subscription connection to each node, read as one.

A notification is published only on the node that has its thread. A connection that breaks is reopened here, with the
channels that the node still has, while the other nodes' notifications are received.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from redis.exceptions import ConnectionError as RedisConnectionError

from shared.errors import StoreUnavailableError
from shared.store.cluster.client import ClusterRedis
from shared.store.cluster.node_map import Address, ClusterMap
from shared.store.redis.notifications import Subscription, open_subscription, subscription_errors

_log = logging.getLogger(__name__)

_KINDS: Final = (b"smessage", b"ssubscribe")
# A connection that received nothing for so long in spite of pings is dead.
_DEAD_AFTER_SECONDS: Final = 6.0
_RETRY_SECONDS: Final = 0.5
# Between two reads, so that the notifications of a busy time are received together.
_BATCH_INTERVAL_SECONDS: Final = 0.002


class ShardSubscription(Subscription):
    """The subscription connection to one node of a cluster."""

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self._forgotten: set[bytes] = set()

    async def watch(self, channels: Iterable[str]) -> None:
        """Subscribe to these as well."""
        await self._send_each("SSUBSCRIBE", channels)

    async def forget(self, channels: Iterable[str]) -> None:
        """Unsubscribe from these."""
        gone = list(channels)
        self._forgotten.update(channel.encode() for channel in gone)
        await self._send_each("SUNSUBSCRIBE", gone)

    async def _send_each(self, command: str, channels: Iterable[str]) -> None:
        """Send a command for each channel, all at once: those of one command would have to share a slot."""
        with subscription_errors():
            packed = self._connection.pack_commands([(command, channel) for channel in channels])
            await self._connection.send_packed_command(packed, check_health=False)

    def _notified(self) -> Iterator[str]:
        while (reply := self._replies.gets()) is not False:
            if isinstance(reply, Exception):  # MOVED among them
                raise reply
            if not isinstance(reply, list):
                continue
            if reply[0] in _KINDS:
                yield reply[1].decode()
            elif reply[0] == b"sunsubscribe":
                self._note_end(reply[1])

    def _note_end(self, channel: bytes) -> None:
        if channel not in self._forgotten:
            raise RedisConnectionError("The node no longer has the slot of a channel.")
        self._forgotten.discard(channel)


class ClusterSubscription:
    """The connections to all nodes; each has a task of `tasks` that keeps it open."""

    def __init__(self, nodes: ClusterMap, tasks: asyncio.TaskGroup, *, dead_after_seconds: float) -> None:
        self._nodes = nodes
        self._dead_after = dead_after_seconds
        self._tasks = tasks
        self._keepers: dict[Address, asyncio.Task[None]] = {}
        self._wanted: dict[Address, set[str]] = {}
        self._unassigned: set[str] = set()  # channels of a slot that no node has
        self._subscriptions: dict[Address, ShardSubscription] = {}  # those that are open
        self._received: set[str] = set()
        self._has_received = asyncio.Event()
        for address in nodes.masters():
            self._keep_open(address)

    async def watch(self, channels: Iterable[str]) -> None:
        """Subscribe to these as well; `received` returns each once when its node has confirmed it."""
        for address, group in self._by_node(channels).items():
            self._keep_open(address)
            self._wanted[address].update(group)
            if subscription := self._subscriptions.get(address):
                with suppress(StoreUnavailableError):  # its keeper notices that too
                    await subscription.watch(group)

    async def forget(self, channels: Iterable[str]) -> None:
        """Unsubscribe from these."""
        gone = set(channels)
        self._unassigned -= gone
        for address, wanted in self._wanted.items():
            if unwanted := wanted & gone:
                wanted -= unwanted
                if subscription := self._subscriptions.get(address):
                    with suppress(StoreUnavailableError):
                        await subscription.forget(unwanted)

    async def ping(self) -> None:
        """Ask every node for a pong, which makes `received` return, maybe with nothing."""
        for subscription in tuple(self._subscriptions.values()):
            with suppress(StoreUnavailableError):
                await subscription.ping()
        unassigned, self._unassigned = self._unassigned, set()
        await self.watch(unassigned)

    async def received(self) -> Sequence[str]:
        """Wait for the next notifications and confirmed subscriptions of any node; return their channels."""
        await self._has_received.wait()
        self._has_received.clear()
        received, self._received = self._received, set()
        return list(received)

    async def close(self) -> None:
        """Close all connections; a cancellation can get lost while one is being opened, so it is repeated."""
        while keepers := [keeper for keeper in self._keepers.values() if not keeper.done()]:
            for keeper in keepers:
                keeper.cancel()
            await asyncio.wait(keepers, timeout=_RETRY_SECONDS)

    def _by_node(self, channels: Iterable[str]) -> Mapping[Address, set[str]]:
        groups: dict[Address, set[str]] = {}
        for channel in channels:
            try:
                groups.setdefault(self._nodes.owner(channel), set()).add(channel)
            except StoreUnavailableError:
                self._unassigned.add(channel)
        return groups

    def _keep_open(self, address: Address) -> None:
        if address not in self._keepers:
            self._wanted.setdefault(address, set())
            self._keepers[address] = self._tasks.create_task(self._keep(address), name="subscription to a node")

    async def _keep(self, address: Address) -> None:
        """Keep the subscription to a node open until it has no slots any more."""
        while address in self._nodes.masters() or self._wanted[address]:
            try:
                async with open_subscription(self._nodes.client(address), ShardSubscription) as subscription:
                    self._subscriptions[address] = subscription
                    await subscription.watch(tuple(self._wanted[address]))
                    await self._listen(subscription)
            except (StoreUnavailableError, TimeoutError):
                _log.warning("Redis pub/sub connection to %s:%d lost; reconnecting", *address)
            finally:
                self._subscriptions.pop(address, None)
            await asyncio.sleep(_RETRY_SECONDS)
            with suppress(StoreUnavailableError):
                await self._nodes.refresh()
            here, self._wanted[address] = self._wanted[address], set()
            await self.watch(here)
        del self._keepers[address]

    async def _listen(self, subscription: ShardSubscription) -> None:
        while True:
            async with asyncio.timeout(self._dead_after):
                notified = await subscription.received()
            self._received.update(notified)
            self._has_received.set()
            await asyncio.sleep(_BATCH_INTERVAL_SECONDS)


class ClusterNotifications:
    """Opens subscriptions to all nodes."""

    def __init__(self, nodes: ClusterMap, *, dead_after_seconds: float = _DEAD_AFTER_SECONDS) -> None:
        self._nodes = nodes
        self._dead_after = dead_after_seconds

    @asynccontextmanager
    async def open(self) -> AsyncIterator[ClusterSubscription]:
        """Yield a subscription without channels yet; raises StoreUnavailableError when no node answers."""
        await self._nodes.load()
        async with asyncio.TaskGroup() as tasks:
            subscription = ClusterSubscription(self._nodes, tasks, dead_after_seconds=self._dead_after)
            try:
                yield subscription
            finally:
                await subscription.close()


class AnyNodeNotifications:
    """Opens subscriptions to one node, for channels whose notifications every node passes on to all others."""

    def __init__(self, redis: ClusterRedis) -> None:
        self._redis = redis

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Subscription]:
        """Yield a subscription without channels yet; raises StoreUnavailableError."""
        node = random.choice(await self._redis.masters())  # noqa: S311 - no secret
        async with open_subscription(node, Subscription) as subscription:
            yield subscription
