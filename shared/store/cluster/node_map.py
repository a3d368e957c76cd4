"""Which node of a Redis Cluster has which key, and a client of its own for each node.

No node waits for another here: each has its own pool, and all are asked for the slots at once.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from pydantic import SecretStr
from redis.asyncio import Redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import MovedError, RedisError, ResponseError

from shared.config import RedisConfig
from shared.errors import StoreUnavailableError
from shared.store.redis.master_pool import open_pool

Address = tuple[str, int]

_DEFAULT_PORT: Final = 6379
# While a node is gone every command for it asks for a new map; the cluster is asked no more often than this.
_REFRESH_SECONDS: Final = 0.5


class ClusterMap:
    """The slots as last read from the cluster. Raises StoreUnavailableError where no node can be asked."""

    def __init__(self, config: RedisConfig, *, retries: int) -> None:
        self._config = config
        self._retries = retries
        url = urlsplit(config.url.get_secret_value())
        self.seed: Address = (url.hostname or "", url.port or _DEFAULT_PORT)
        self._owners: list[Address | None] = []
        self._clients: dict[Address, Redis] = {}
        self._refreshing: asyncio.Task[None] | None = None
        self._refreshed_at = 0.0

    async def load(self) -> None:
        """Return once the slots are known."""
        if not self._owners:
            await self.refresh()

    def owner(self, key: str) -> Address:
        """Return the node that has the key, as far as is known."""
        address = self._owners[key_slot(key.encode())] if self._owners else None
        if address is None:
            self.refresh_soon()
            raise StoreUnavailableError("No node of the Redis Cluster has the slot of this key.")
        return address

    def masters(self) -> list[Address]:
        """Return the nodes that have slots."""
        return list(dict.fromkeys(address for address in self._owners if address))

    def client(self, address: Address) -> Redis:
        """Return the client of one node; nothing is connected before its first command."""
        found = self._clients.get(address)
        if found is None:
            url = _url_of(self._config.url.get_secret_value(), address)
            config = self._config.model_copy(update={"url": SecretStr(url)})
            found = Redis.from_pool(open_pool(config, retries=self._retries))
            self._clients[address] = found
        return found

    def note_moved(self, error: MovedError, reported_by: Address) -> None:
        """Update the owner of a slot from a MOVED answer."""
        self._owners[error.slot_id] = (error.host or reported_by[0], error.port)
        self.refresh_soon()

    def refresh_soon(self) -> None:
        """Start a refresh in the background, unless one began just now."""
        if asyncio.get_running_loop().time() - self._refreshed_at < _REFRESH_SECONDS:
            return
        self._begin_refresh()

    async def refresh(self) -> None:
        """Ask all known nodes for the slots, and take the first answer."""
        await asyncio.shield(self._begin_refresh())

    async def aclose(self) -> None:
        """Close the connections to all nodes."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.wait([self._refreshing])
        for client in self._clients.values():
            await client.aclose()

    def _begin_refresh(self) -> "asyncio.Task[None]":
        if self._refreshing is None or self._refreshing.done():
            self._refreshed_at = asyncio.get_running_loop().time()
            self._refreshing = asyncio.create_task(self._ask_all(), name="map of the Redis Cluster")
            # Its failure is raised to those that wait for it; without any it is dropped.
            self._refreshing.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._refreshing

    async def _ask_all(self) -> None:
        addresses = list(dict.fromkeys([*self.masters(), self.seed]))
        asking = [asyncio.create_task(self._ask(address)) for address in addresses]
        failure: StoreUnavailableError | None = None
        try:
            for asked in asyncio.as_completed(asking):
                try:
                    self._owners = await asked
                except StoreUnavailableError as error:
                    failure = error
                else:
                    await self._close_left()
                    return
        finally:
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
        raise failure or StoreUnavailableError

    async def _ask(self, address: Address) -> list[Address | None]:
        try:
            client: Any = self.client(address)  # redis-py leaves it untyped
            ranges = await client.execute_command("CLUSTER", "SLOTS")
        except ResponseError as error:
            raise StoreUnavailableError(f"redis.cluster is true, but Redis does not serve as one: {error}") from error
        except (RedisError, OSError, RuntimeError) as error:
            raise StoreUnavailableError from error
        owners: list[Address | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        for first, last, master, *_ in ranges:
            owner = _address(master, reported_by=address)
            owners[first : last + 1] = [owner] * (last + 1 - first)
        if not any(owners):
            raise StoreUnavailableError("The Redis Cluster has given no slots to its nodes.")
        return owners

    async def _close_left(self) -> None:
        """Close the connections to nodes that have no slots any more."""
        known = {*self.masters(), self.seed}
        for address in [address for address in self._clients if address not in known]:
            with suppress(RedisError, OSError, RuntimeError):
                await self._clients.pop(address).aclose()


def _address(node: Sequence[Any], *, reported_by: Address) -> Address:
    host = node[0].decode() if isinstance(node[0], bytes) else node[0]
    # A node that does not know its own address leaves it out: it is the one that was asked.
    return (host if host and host != "?" else reported_by[0], int(node[1]))


def _url_of(url: str, address: Address) -> str:
    parts = urlsplit(url)
    user_info, at, _ = parts.netloc.rpartition("@")
    host, port = address
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return urlunsplit(parts._replace(netloc=f"{user_info}{at}{authority}"))
