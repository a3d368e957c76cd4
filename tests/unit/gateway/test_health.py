"""The health routes with dependencies that are up, down or do not answer."""

import asyncio
from dataclasses import dataclass

import pytest

from gateway.service.health import check_health, check_readiness
from shared.errors import BrokerUnavailableError, StoreUnavailableError


@dataclass
class FakeDependencies:
    """Redis with so many modems (None: down), and a broker that answers or not."""

    modems: int | None = 1
    broker_answers: bool = True

    async def count_alive(self) -> int:
        if self.modems is None:
            raise StoreUnavailableError
        return self.modems

    async def find_risks(self) -> list[str]:
        return ["a risk"]

    async def check(self) -> None:
        if not self.broker_answers:
            raise BrokerUnavailableError


@pytest.mark.parametrize(
    ("modems", "status", "redis", "celery"),
    [
        (2, "healthy", "healthy", "healthy"),
        (0, "degraded", "healthy", "no_modem"),
        (None, "unhealthy", "unavailable", "unknown"),
    ],
)
async def test_health_follows_redis_and_the_modems(modems: int | None, status: str, redis: str, celery: str) -> None:
    found = await check_health(FakeDependencies(modems))
    assert found.status == found.config_status.overall_status == status
    assert (found.config_status.redis, found.config_status.celery) == (redis, celery)


@pytest.mark.parametrize(
    ("modems", "broker_answers", "status"),
    [(1, True, "ready"), (0, True, "ready"), (None, True, "not_ready"), (1, False, "not_ready")],
)
async def test_readiness_needs_redis_and_the_broker_but_no_modem(
    modems: int | None, broker_answers: bool, status: str
) -> None:
    dependencies = FakeDependencies(modems, broker_answers)
    found = await check_readiness(dependencies, dependencies)
    assert found.status == status
    assert found.warnings == ("a risk",)


async def test_a_dependency_that_never_answers_counts_as_down(monkeypatch: pytest.MonkeyPatch) -> None:
    class _Silent(FakeDependencies):
        """Redis hangs."""

        async def count_alive(self) -> int:
            await asyncio.Event().wait()
            return 0

    monkeypatch.setattr("gateway.service.health._TIME_LIMIT_SECONDS", 0.01)
    assert (await check_health(_Silent())).status == "unhealthy"
