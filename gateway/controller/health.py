"""Routes of health: for people, for a liveness probe and for a readiness probe."""

from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends
from starlette.responses import Response

from gateway.controller.dependencies import ServicesDep
from gateway.controller.documented_errors import may_answer_without_redis
from gateway.service.health import HealthAnswer, Readiness
from shared.clock import isoformat
from shared.contract.api import ErrorResponse
from shared.contract.base import Contract

router = APIRouter(tags=["health"])
# Load balancers ask these often, by any host name and without a credential, and they tell nothing else.
PROBES: Final = frozenset({"/health", "/live", "/ready"})


class Alive(Contract):
    """The answer of GET /live."""

    status: str = "alive"
    time: str


@router.head("/live", include_in_schema=False)
@router.get("/live", responses=may_answer_without_redis())
async def live() -> Alive:
    """Answer while the process works; no dependency is checked."""
    return Alive(time=isoformat(datetime.now(UTC)))


async def _health(services: ServicesDep) -> HealthAnswer:
    return await services.probes.health.answer()


async def _readiness(services: ServicesDep) -> Readiness:
    services.stream_limits.require_service()
    return await services.probes.readiness.answer()


@router.head("/health", include_in_schema=False)
@router.get("/health", responses={**may_answer_without_redis(), 503: {"model": HealthAnswer}})
async def health(response: Response, found: Annotated[HealthAnswer, Depends(_health)]) -> HealthAnswer:
    """Return the health of Baud; 503 when Redis is down, `degraded` when no modem is alive."""
    response.status_code = 503 if found.config_status.redis == "unavailable" else 200
    return found


@router.head("/ready", include_in_schema=False)
@router.get("/ready", responses={**may_answer_without_redis(), 503: {"model": Readiness | ErrorResponse}})
async def ready(response: Response, found: Annotated[Readiness, Depends(_readiness)]) -> Readiness:
    """Return whether requests can be served, by dependency; 503 at once when the server is stopping."""
    response.status_code = 200 if found.status == "ready" else 503
    return found
