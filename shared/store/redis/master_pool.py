"""Connections that stay with the master: one that finds its server demoted is closed, and opened to the new master."""

import re
from collections.abc import Mapping
from typing import Any, Final

import hiredis
from redis.asyncio import BlockingConnectionPool, Connection, SSLConnection
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import (
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, ResponseError

from shared.config import RedisConfig
from shared.sentinel_url import SentinelAddress, is_sentinel_url, parse_sentinel_url

# Long enough for a burst of clients to be served in turn instead of being refused.
_POOL_WAIT_SECONDS: Final = 10.0
# Inside a script a Redis before version 7 puts other text before the code.
_DEMOTED: Final = re.compile(r"[:\s]-READONLY ")
_DEMOTED_TEXT: Final = "this Redis is no longer the master"


# Above it the copy that one buffer for the whole command takes would be the larger cost.
_PACKED_BYTES: Final = 65_536


class _FollowMaster:
    """Mix-in: a connection that gets READONLY is closed, and opened to the master the next time.

    Commands are packed by hiredis: a script's many arguments take redis-py's own packing several times as long.
    """

    def pack_command(self, *arguments: Any) -> list[bytes]:
        if any(isinstance(each, bytes | str) and len(each) > _PACKED_BYTES for each in arguments):
            packed: list[bytes] = super().pack_command(*arguments)  # type: ignore[misc]  # of the other base
            return packed
        name: Any = arguments[0]
        return [hiredis.pack_command((*(name.encode() if isinstance(name, str) else name).split(), *arguments[1:]))]

    async def read_response(self, *arguments: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*arguments, **options)  # type: ignore[misc]  # of the other base
        except ResponseError as error:
            if not isinstance(error, ReadOnlyError) and not _DEMOTED.search(str(error)):
                raise
            await self.disconnect(nowait=True)  # type: ignore[attr-defined]  # of the other base
            raise RedisConnectionError(_DEMOTED_TEXT) from error


class MasterConnection(_FollowMaster, Connection):
    """To the host that the URL names, whose name or address may move to another server."""


class MasterSSLConnection(_FollowMaster, SSLConnection):
    """The same with TLS."""


class SentinelConnection(_FollowMaster, SentinelManagedConnection):
    """To the master that the Sentinels name."""


class SentinelSSLConnection(_FollowMaster, SentinelManagedSSLConnection):
    """The same with TLS."""


_FOLLOWING: Final[Mapping[type, type]] = {Connection: MasterConnection, SSLConnection: MasterSSLConnection}


class SentinelPool(BlockingConnectionPool, SentinelConnectionPool):
    """Connections to the master that the Sentinels name; a caller that finds all in use waits for one."""

    async def aclose(self) -> None:
        """Close the connections, those to the Sentinels too."""
        await super().aclose()
        await self.sentinel_manager.aclose()


def open_pool(config: RedisConfig, *, retries: int) -> BlockingConnectionPool:
    """Return a pool for the URL of the configuration; nothing is connected before the first command."""
    url = config.url.get_secret_value()
    options: dict[str, Any] = {
        "max_connections": config.max_connections,
        "timeout": _POOL_WAIT_SECONDS,
        "socket_connect_timeout": config.connect_timeout,
        "socket_timeout": config.command_timeout,
        "retry": Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), retries),
        "health_check_interval": 0,
    }
    if is_sentinel_url(url):
        return _sentinel_pool(parse_sentinel_url(url), config, options)
    options |= parse_url(url)
    wanted = options.get("connection_class", Connection)
    return BlockingConnectionPool(**{**options, "connection_class": _FOLLOWING.get(wanted, wanted)})


def _sentinel_pool(address: SentinelAddress, config: RedisConfig, options: dict[str, Any]) -> SentinelPool:
    tls: dict[str, Any] = dict(address.tls or {})
    sentinels = Sentinel(  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        address.sentinels,
        sentinel_kwargs={
            "username": address.sentinel_username,
            "password": address.sentinel_password,
            "socket_connect_timeout": config.connect_timeout,
            "socket_timeout": config.connect_timeout,
            "retry": Retry(NoBackoff(), 0),  # one that does not answer is passed over for the next
            **({"ssl": True, **tls} if address.tls is not None else {}),
        },
    )
    return SentinelPool(
        connection_class=SentinelConnection if address.tls is None else SentinelSSLConnection,
        service_name=address.master_name,
        sentinel_manager=sentinels,
        db=address.db,
        username=address.username,
        password=address.password,
        **tls,
        **options,
    )
