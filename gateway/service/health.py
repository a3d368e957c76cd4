"""Checks whether Redis, the broker and the workers are available."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Final, Generic, Literal, Protocol, TypeVar

from shared.clock import isoformat
from shared.contract.base import Contract
from shared.errors import BrokerUnavailableError, StoreUnavailableError

_TIME_LIMIT_SECONDS: Final = 2.0
# How long an answer is reused; a bad one may soon be outdated.
_FRESH_SECONDS: Final = 1.0
_FRESH_SECONDS_WHEN_BAD: Final = 0.1

T = TypeVar("T")


class Workers(Protocol):
    """Knows the modems, and Redis's settings."""

    async def count_alive(self) -> int:
        """Return how many modems are alive."""

    async def find_risks(self) -> list[str]:
        """Return what can lose data."""


class Broker(Protocol):
    """The task queue."""

    async def check(self) -> None:
        """Return when it answers; raises BrokerUnavailableError."""


class ConfigHealth(Contract):
    """The parts, one by one."""

    overall_status: Literal["healthy", "degraded", "unhealthy"]
    redis: Literal["healthy", "unavailable"]
    celery: Literal["healthy", "no_modem", "unknown"]


class HealthAnswer(Contract):
    """The answer of GET /health."""

    status: Literal["healthy", "degraded", "unhealthy"]
    timestamp: str
    version: str
    config_status: ConfigHealth


class Readiness(Contract):
    """The answer of GET /ready; warnings name settings that can lose data."""

    status: Literal["ready", "not_ready"]
    redis: Literal["ready", "unavailable"]
    broker: Literal["ready", "unavailable"]
    modems: int
    warnings: tuple[str, ...] = ()


async def check_health(workers: Workers) -> HealthAnswer:
    """Return the health of Baud; never raises for a dependency that is down."""
    modems = await _count_modems(workers)
    if modems is None:
        parts = ConfigHealth(overall_status="unhealthy", redis="unavailable", celery="unknown")
    elif modems == 0:
        parts = ConfigHealth(overall_status="degraded", redis="healthy", celery="no_modem")
    else:
        parts = ConfigHealth(overall_status="healthy", redis="healthy", celery="healthy")
    now = isoformat(datetime.now(UTC))
    return HealthAnswer(status=parts.overall_status, timestamp=now, version=version("baud"), config_status=parts)


async def check_readiness(workers: Workers, broker: Broker) -> Readiness:
    """Return whether requests can be served; a missing modem does not matter, runs wait for one."""
    modems, broker_answers, warnings = await asyncio.gather(
        _count_modems(workers), _broker_answers(broker), _find_risks(workers)
    )
    return Readiness(
        status="ready" if modems is not None and broker_answers else "not_ready",
        redis="unavailable" if modems is None else "ready",
        broker="ready" if broker_answers else "unavailable",
        modems=modems or 0,
        warnings=tuple(warnings),
    )


async def _count_modems(workers: Workers) -> int | None:
    try:
        async with asyncio.timeout(_TIME_LIMIT_SECONDS):
            return await workers.count_alive()
    except (StoreUnavailableError, TimeoutError):
        return None


async def _find_risks(workers: Workers) -> list[str]:
    try:
        async with asyncio.timeout(_TIME_LIMIT_SECONDS):
            return await workers.find_risks()
    except (StoreUnavailableError, TimeoutError):
        return []


async def _broker_answers(broker: Broker) -> bool:
    try:
        async with asyncio.timeout(_TIME_LIMIT_SECONDS):
            await broker.check()
    except (BrokerUnavailableError, TimeoutError):
        return False
    return True


class SharedProbe(Generic[T]):
    """Checks once a second at most, however many ask; concurrent callers share one check.

    Checks ten times a second at most while the last answer was not good.
    """

    def __init__(self, ask: Callable[[], Awaitable[T]], is_good: Callable[[T], bool]) -> None:
        self._ask = ask
        self._is_good = is_good
        self._fresh_seconds = 0.0
        self._asking: asyncio.Task[T] | None = None
        self._answered_at = 0.0

    async def answer(self) -> T:
        """Return an answer that is at most a second old."""
        if self._asking is None or (self._asking.done() and self._is_stale()):
            self._asking = asyncio.create_task(self._find(), name="probe")
        return await asyncio.shield(self._asking)

    def _is_stale(self) -> bool:
        return asyncio.get_running_loop().time() - self._answered_at > self._fresh_seconds

    async def _find(self) -> T:
        self._fresh_seconds = 0.0
        answer = await self._ask()
        self._fresh_seconds = _FRESH_SECONDS if self._is_good(answer) else _FRESH_SECONDS_WHEN_BAD
        self._answered_at = asyncio.get_running_loop().time()
        return answer

    async def close(self) -> None:
        """Cancel the running check."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])


class HealthProbes:
    """The probes of one gateway."""

    def __init__(self, workers: Workers, broker: Broker) -> None:
        self.health = SharedProbe(lambda: check_health(workers), lambda health: health.status == "healthy")
        self.readiness = SharedProbe(
            lambda: check_readiness(workers, broker), lambda readiness: readiness.status == "ready"
        )

    async def close(self) -> None:
        """Cancel the running check."""
        await self.health.close()
        await self.readiness.close()
