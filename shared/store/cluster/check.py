"""Checks at the start whether a Redis can be used as a cluster at all."""

from contextlib import suppress
from typing import Any, Final

from redis.exceptions import RedisError

from shared.errors import ConfigurationError, StoreUnavailableError
from shared.store.cluster.client import ClusterRedis

# The first with sharded pub/sub, which notifications use.
_OLDEST: Final = 7


async def check_nodes(redis: ClusterRedis) -> None:
    """Raise ConfigurationError for a Redis that answers and cannot do what `redis.cluster` asks for.

    One that does not answer yet, or does not show its version, passes.
    """
    with suppress(RedisError, OSError, StoreUnavailableError):
        _check(await redis.map.client(redis.map.seed).info())
        for master in await redis.masters():
            _check(await master.info())


def _check(info: dict[str, Any]) -> None:
    if info.get("cluster_enabled") == 0:
        raise ConfigurationError(
            "redis.cluster is true, but the Redis at redis.url is not in cluster mode: set redis.cluster = false, "
            "or start Redis with cluster-enabled yes"
        )
    version = str(info.get("redis_version", ""))
    major = version.partition(".")[0]
    if major.isdecimal() and int(major) < _OLDEST:
        raise ConfigurationError(
            f"redis.cluster needs Redis {_OLDEST} or newer on every node, and one is {version}: stream "
            "notifications use sharded pub/sub; upgrade it, or set redis.cluster = false"
        )
