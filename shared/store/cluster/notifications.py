"""The bells of threads in a Redis Cluster: a line to each node, heard as one.

A bell is rung only on the node that has its thread. A node's line that breaks is opened again here, with the bells
that the node still has, so that those of the other nodes are heard meanwhile.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from redis.exceptions import ConnectionError as RedisConnectionError

from shared.errors import StoreUnavailableError
from shared.store.cluster.connection import ClusterConnection
from shared.store.cluster.node_map import Address, ClusterMap
from shared.store.notifications import Notifications, Subscription, open_subscription, subscription_errors
from shared.store.redis.connection import Connection

_log = logging.getLogger(__name__)

_RINGS: Final = (b"smessage", b"ssubscribe")
# A line that was silent for so long in spite of pings is dead.
_SILENCE_SECONDS: Final = 6.0
_RETRY_SECONDS: Final = 0.5
# Between two readings: the bells of a busy time are heard together.
_BREATH_SECONDS: Final = 0.002


class ShardSubscription(Subscription):
    """The line to one node of a cluster."""

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self._forgotten: set[bytes] = set()

    async def watch(self, channels: Iterable[str]) -> None:
        """Listen to these as well."""
        await self._send_each("SSUBSCRIBE", channels)

    async def forget(self, channels: Iterable[str]) -> None:
        """Listen to these no longer."""
        gone = list(channels)
        self._forgotten.update(channel.encode() for channel in gone)
        await self._send_each("SUNSUBSCRIBE", gone)

    async def _send_each(self, command: str, channels: Iterable[str]) -> None:
        """Send a command for each bell, all at once: those of one command would have to share a slot."""
        with subscription_errors():
            packed = self._connection.pack_commands([(command, channel) for channel in channels])
            await self._connection.send_packed_command(packed, check_health=False)

    def _notified(self) -> Iterator[str]:
        while (reply := self._replies.gets()) is not False:
            if isinstance(reply, Exception):  # MOVED among them
                raise reply
            if not isinstance(reply, list):
                continue
            if reply[0] in _RINGS:
                yield reply[1].decode()
            elif reply[0] == b"sunsubscribe":
                self._note_end(reply[1])

    def _note_end(self, channel: bytes) -> None:
        if channel not in self._forgotten:
            raise RedisConnectionError("The node has given the slot of a bell away.")
        self._forgotten.discard(channel)


class ClusterSubscription:
    """The lines to all nodes; every line has a task of `tasks` that keeps it open."""

    def __init__(self, nodes: ClusterMap, tasks: asyncio.TaskGroup, *, silence_seconds: float) -> None:
        self._nodes = nodes
        self._silence = silence_seconds
        self._tasks = tasks
        self._keepers: dict[Address, asyncio.Task[None]] = {}
        self._wanted: dict[Address, set[str]] = {}
        self._homeless: set[str] = set()  # of a slot that no node has
        self._subscriptions: dict[Address, ShardSubscription] = {}  # those that are open
        self._heard: set[str] = set()
        self._something_heard = asyncio.Event()
        for address in nodes.masters():
            self._keep_open(address)

    async def watch(self, channels: Iterable[str]) -> None:
        """Listen to these as well; `received` returns each once more when its node has confirmed it."""
        for address, group in self._by_node(channels).items():
            self._keep_open(address)
            self._wanted[address].update(group)
            if subscription := self._subscriptions.get(address):
                with suppress(StoreUnavailableError):  # its keeper finds that out too
                    await subscription.watch(group)

    async def forget(self, channels: Iterable[str]) -> None:
        """Listen to these no longer."""
        gone = set(channels)
        self._homeless -= gone
        for address, wanted in self._wanted.items():
            if unwanted := wanted & gone:
                wanted -= unwanted
                if subscription := self._subscriptions.get(address):
                    with suppress(StoreUnavailableError):
                        await subscription.forget(unwanted)

    async def ping(self) -> None:
        """Ask every node for a sign of life; `received` returns then, if with nothing."""
        for subscription in tuple(self._subscriptions.values()):
            with suppress(StoreUnavailableError):
                await subscription.ping()
        homeless, self._homeless = self._homeless, set()
        await self.watch(homeless)

    async def received(self) -> Sequence[str]:
        """Wait for the next bells of any node that rang, or are watched only from now on."""
        await self._something_heard.wait()
        self._something_heard.clear()
        received, self._heard = self._heard, set()
        return list(received)

    async def close(self) -> None:
        """Close all lines; a cancellation can get lost in a connection that is just being made, so it is said again."""
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
                self._homeless.add(channel)
        return groups

    def _keep_open(self, address: Address) -> None:
        if address not in self._keepers:
            self._wanted.setdefault(address, set())
            self._keepers[address] = self._tasks.create_task(self._keep(address), name="bells of a node")

    async def _keep(self, address: Address) -> None:
        """Hear one node until it has no slots any more."""
        while address in self._nodes.masters() or self._wanted[address]:
            try:
                async with open_subscription(self._nodes.client(address), ShardSubscription) as subscription:
                    self._subscriptions[address] = subscription
                    await subscription.watch(tuple(self._wanted[address]))
                    await self._listen(subscription)
            except (StoreUnavailableError, TimeoutError):
                _log.warning("the bells of the Redis at %s:%d are not heard; it is tried again", *address)
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
            async with asyncio.timeout(self._silence):
                notified = await subscription.received()
            self._heard.update(notified)
            self._something_heard.set()
            await asyncio.sleep(_BREATH_SECONDS)


class ClusterNotifications:
    """Opens lines to all nodes."""

    def __init__(self, connection: ClusterConnection, *, silence_seconds: float = _SILENCE_SECONDS) -> None:
        self._nodes = connection.cluster.map
        self._silence = silence_seconds

    @asynccontextmanager
    async def open(self) -> AsyncIterator[ClusterSubscription]:
        """Yield a line that listens to nothing yet; raises StoreUnavailableError when no node answers."""
        await self._nodes.load()
        async with asyncio.TaskGroup() as tasks:
            subscription = ClusterSubscription(self._nodes, tasks, silence_seconds=self._silence)
            try:
                yield subscription
            finally:
                await subscription.close()


def open_notifications(connection: Connection) -> Notifications | ClusterNotifications:
    """Return what opens lines on which the bells of threads are heard."""
    return ClusterNotifications(connection) if isinstance(connection, ClusterConnection) else Notifications(connection)
