"""The app as it is composed: the middleware of every request, in order."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from gateway.core.main import create_app
from shared.settings.load import load_settings

_ORIGIN = "https://page.example"


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an app that was never started, so that every route that needs a service fails with 500."""
    app = create_app(load_settings({"BAUD_CORS__ALLOW_ORIGINS": _ORIGIN}, tmp_path))
    headers = {"Origin": _ORIGIN}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://localhost", headers=headers
    ) as client:
        yield client


async def test_a_page_may_name_its_request_and_its_preflight_has_an_id(http: httpx.AsyncClient) -> None:
    wanted = ["X-Request-ID", "Idempotency-Key", "Last-Event-ID", "Content-Type"]
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": ", ".join(wanted)}
    preflight = await http.options("/api/agent/initiate", headers=asks)
    assert preflight.status_code == 200
    assert preflight.headers["x-request-id"]


async def test_a_page_may_read_every_answer_also_to_an_internal_error(http: httpx.AsyncClient) -> None:
    answer = await http.get("/api/agent/threads", headers={"X-Request-ID": "mine"})
    assert (answer.status_code, answer.json()["request_id"]) == (500, "mine")
    assert answer.headers["access-control-allow-origin"] == _ORIGIN
    assert "X-Request-ID" in answer.headers["access-control-expose-headers"]
