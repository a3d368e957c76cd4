"""Asks a gateway for its health."""

import httpx
from pydantic import Field, ValidationError

from shared.contract.base import Contract


class ConfigStatus(Contract):
    """The parts of the backend."""

    overall_status: str = ""
    redis: str = ""
    celery: str = ""


class Health(Contract):
    """The answer of GET /health: healthy, degraded or unhealthy."""

    status: str
    timestamp: str
    version: str
    config_status: ConfigStatus = Field(default_factory=ConfigStatus)

    def parts(self) -> str:
        """Return the status of each part, in one line."""
        return f"redis {self.config_status.redis or 'unknown'}, celery {self.config_status.celery or 'unknown'}"


def parse_health(response: httpx.Response) -> Health | None:
    """Return the health that a response carries; None when it is not from Baud."""
    if response.status_code not in (200, 503):
        return None
    try:
        return Health.model_validate_json(response.content)
    except ValidationError:
        return None


async def fetch_health(http: httpx.AsyncClient) -> Health | None:
    """Return the gateway's health; None when it does not answer, or something else does."""
    try:
        return parse_health(await http.get("/health", timeout=2.0))
    except httpx.HTTPError:
        return None
