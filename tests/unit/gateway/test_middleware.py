"""The middleware of every request: its id, its log line, its limit, and an answer to every error."""

import logging
from collections.abc import AsyncIterator
from typing import Annotated

import httpx
import pytest
from fastapi import Body, FastAPI
from starlette.middleware import Middleware
from starlette.requests import Request

from gateway.controller.error_handlers import add_error_handlers
from gateway.core.middleware import BodyLimit, RequestEdge
from shared.errors import (
    BaudError,
    BrokerUnavailableError,
    ConfigurationError,
    InvalidCursorError,
    InvalidStreamIdError,
    LeaseLostError,
    RunNotFoundError,
    StoreUnavailableError,
    ThreadBusyError,
    ThreadNotFoundError,
)

_ERRORS: dict[str, BaudError | RuntimeError] = {
    "thread": ThreadNotFoundError(),
    "run": RunNotFoundError(),
    "busy": ThreadBusyError(),
    "stream-id": InvalidStreamIdError(),
    "cursor": InvalidCursorError(),
    "store": StoreUnavailableError(),
    "broker": BrokerUnavailableError(),
    "lease": LeaseLostError(),
    "configuration": ConfigurationError("the password is hunter2"),
    "fault": RuntimeError("the password is hunter2"),
}


def _app() -> FastAPI:
    edge, limit = Middleware(RequestEdge, slow_seconds=60.0), Middleware(BodyLimit, max_bytes=100, limit_seconds=60.0)
    app = FastAPI(middleware=[edge, limit])
    add_error_handlers(app)

    @app.get("/raise/{name}")
    async def fail(name: str) -> None:
        raise _ERRORS[name]

    @app.post("/number")
    async def number(value: Annotated[int, Body(embed=True)]) -> int:
        return value

    @app.post("/raw")
    async def raw(request: Request) -> int:
        return len(await request.body())

    return app


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(_app(), raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        yield client


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("thread", 404, "thread_not_found"),
        ("run", 404, "run_not_found"),
        ("busy", 409, "thread_busy"),
        ("stream-id", 400, "bad_last_id"),
        ("cursor", 400, "bad_cursor"),
        ("store", 503, "redis_unavailable"),
        ("broker", 503, "broker_unavailable"),
        ("lease", 500, "internal_error"),
        ("configuration", 500, "internal_error"),
        ("fault", 500, "internal_error"),
    ],
)
async def test_every_error_has_its_status_and_one_body(
    http: httpx.AsyncClient, name: str, status: int, code: str
) -> None:
    response = await http.get(f"/raise/{name}")
    body = response.json()
    assert (response.status_code, body["code"]) == (status, code)
    assert set(body) == {"detail", "code", "request_id"}
    assert body["request_id"] == response.headers["x-request-id"]
    assert ("retry-after" in response.headers) is (status == 503)
    assert "hunter2" not in response.text


async def test_an_unexpected_error_is_logged_with_its_request_id(
    http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    response = await http.get("/raise/fault", headers={"X-Request-ID": "the-id"})
    assert response.json()["request_id"] == "the-id"
    assert [record.exc_info is not None for record in caplog.records if record.levelno == logging.ERROR] == [True]


@pytest.mark.parametrize("offered", ["", "with space", "a" * 129, "<script>"], ids=["none", "space", "long", "markup"])
async def test_a_request_id_that_is_not_sane_is_replaced(http: httpx.AsyncClient, offered: str) -> None:
    response = await http.get("/raise/thread", headers={"X-Request-ID": offered})
    assert response.headers["x-request-id"] not in ("", offered)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"{}", "body.value: field required"),
        (b'{"value": "x"}', "body.value: should be a valid integer, unable to parse string as an integer"),
        (b'{"value": ', "the body is not valid JSON: Expecting value"),
    ],
    ids=["missing", "wrong type", "no JSON"],
)
async def test_a_wrong_body_is_answered_by_a_sentence_that_names_the_field(
    http: httpx.AsyncClient, content: bytes, sentence: str
) -> None:
    response = await http.post("/number", content=content, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
    assert response.json()["detail"] == sentence


async def test_unknown_routes_and_methods_have_the_same_body(http: httpx.AsyncClient) -> None:
    unknown, wrong = await http.get("/nothing"), await http.delete("/number")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")
    assert wrong.headers["allow"] == "POST"


@pytest.mark.parametrize(("size", "status"), [(100, 200), (101, 413)])
async def test_the_limit_of_a_body_holds_to_the_byte_in_chunks_too(
    http: httpx.AsyncClient, size: int, status: int
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(size):
            yield b"x"

    declared = await http.post("/raw", content=b"x" * size)
    chunked = await http.post("/raw", content=chunks())
    assert [declared.status_code, chunked.status_code] == [status, status]
    if status == 413:
        assert declared.json()["code"] == chunked.json()["code"] == "body_too_large"


async def test_each_request_leaves_one_line_with_route_status_and_time(
    http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "gateway"):
        await http.get("/raise/thread")
    (line,) = [record for record in caplog.records if record.message == "request"]
    fields = vars(line)
    assert (fields["route"], fields["method"], fields["status"]) == ("/raise/{name}", "GET", 404)
    assert fields["duration_ms"] >= 0
