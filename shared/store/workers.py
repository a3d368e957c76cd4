"""Which modems are alive, by the clock of Redis."""

import logging
from typing import Any, Final

from redis.exceptions import ResponseError

from shared.keys import MODEM_INDEX
from shared.store.connection import StoreConnection
from shared.store.redis.errors import redis_errors

_log = logging.getLogger(__name__)
# Read one by one: Redis 6 takes no more.
_SETTINGS: Final = ("maxmemory", "maxmemory-policy", "appendonly", "appendfsync", "save")


class WorkerStore:
    """Heartbeats of modems. Every method raises StoreUnavailableError when Redis does not answer."""

    def __init__(self, connection: StoreConnection) -> None:
        self._connection = connection
        self._redis = connection.redis

    async def report_alive(self, worker_id: str, *, lifetime_seconds: float) -> None:
        """Record the heartbeat of a modem; it expires after `lifetime_seconds`."""
        with redis_errors():
            now = await self._now()
            pipe = self._redis.pipeline(transaction=True)
            pipe.zadd(MODEM_INDEX, {worker_id: now + lifetime_seconds})
            pipe.zremrangebyscore(MODEM_INDEX, "-inf", now)
            pipe.expire(MODEM_INDEX, int(lifetime_seconds) + 1)
            await pipe.execute()

    async def report_gone(self, worker_id: str) -> None:
        """Remove a modem that has stopped."""
        with redis_errors():
            await self._redis.zrem(MODEM_INDEX, worker_id)

    async def count_alive(self) -> int:
        """Return how many modems are alive."""
        with redis_errors():
            now = await self._now()
            return int(await self._redis.zcount(MODEM_INDEX, now, "+inf"))

    async def ping(self) -> None:
        """Return when Redis can be asked for modems."""
        with redis_errors():
            await self._redis.exists(MODEM_INDEX)

    async def find_risks(self) -> list[str]:
        """Return a sentence for each setting of Redis that can lose data; none when Redis does not show them."""
        try:
            with redis_errors():
                found = [await _risks_of(redis) for redis in await self._connection.servers()]
        except ResponseError:  # managed services forbid CONFIG
            return []
        return list(dict.fromkeys(risk for risks in found for risk in risks))

    async def warn_of_risks(self) -> None:
        """Log what find_risks returns."""
        for risk in await self.find_risks():
            _log.warning("%s", risk)

    async def _now(self) -> float:
        # TIME has no key, and each server has its own clock: this asks the one that has the list.
        seconds, microseconds = await self._redis.eval("return redis.call('TIME')", 1, MODEM_INDEX)
        return float(seconds) + float(microseconds) / 1e6


async def _risks_of(redis: Any) -> list[str]:
    pipe = redis.pipeline(transaction=False)
    for name in _SETTINGS:  # one each: Redis 6 takes no more
        pipe.config_get(name)
    values = {_text(name): _text(value) for answer in await pipe.execute() for name, value in answer.items()}
    risks = []
    if values.get("appendonly") == "no" and not values.get("save"):
        risks.append("Redis writes nothing to disk: a restart loses every thread; set appendonly yes")
    fsync = values.get("appendfsync", "always")
    if values.get("appendonly") == "yes" and fsync != "always":
        risks.append(
            f"Redis answers before it has written to disk (appendfsync {fsync}): the end of its machine takes back"
            " the last events that clients saw; set appendfsync always"
        )
    if values.get("maxmemory", "0") != "0" and values.get("maxmemory-policy", "noeviction") != "noeviction":
        policy = values["maxmemory-policy"]
        risks.append(f"Redis may evict data (maxmemory-policy {policy}); set maxmemory-policy noeviction")
    return risks


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
