"""The OpenAPI document: every route lists its errors, and no error is missing."""

from typing import Any

import pytest

from gateway.controller.error_handlers import status_of
from shared.errors import (
    BaudError,
    ForeignOriginError,
    InvalidMessageError,
    TenantExistsError,
    UnreadableMessageError,
)
from tests.documented import document, served_routes

_ERROR = {"$ref": "#/components/schemas/ErrorResponse"}
# What no HTTP route raises: of a WebSocket's messages and of its handshake, of the queue, of a command.
_ELSEWHERE = (InvalidMessageError, ForeignOriginError, UnreadableMessageError, TenantExistsError)
_ANY = {"400", "408", "413", "422", "431", "500"}


def _operations() -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, operations in document()["paths"].items()
        for method, operation in operations.items()
    ]


@pytest.mark.parametrize(("name", "operation"), _operations(), ids=[name for name, _ in _operations()])
def test_every_route_lists_its_errors_with_the_common_body(name: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    errors = {status for status in responses if int(status) >= 400}
    asks_redis = name.partition(" ")[2].startswith(("/api", "/agent"))
    assert errors >= (_ANY | {"503"} if asks_redis else _ANY)
    for status in errors:
        if name in ("GET /health", "GET /ready") and status == "503":
            continue
        assert responses[status]["content"]["application/json"]["schema"] == _ERROR
        assert ("Retry-After" in responses[status].get("headers", {})) is (status in ("429", "503"))


def test_streams_are_events_and_have_a_limit() -> None:
    streams = [operation for name, operation in _operations() if name.endswith(("/stream", "/event-stream"))]
    assert len(streams) == 3
    for operation in streams:
        assert list(operation["responses"]["200"]["content"]) == ["text/event-stream"]
        assert "429" in operation["responses"]


def test_every_error_that_a_route_may_raise_is_in_the_document() -> None:
    documented = " ".join(
        response["description"] for _, operation in _operations() for response in operation["responses"].values()
    )
    # The code of an internal error is for the log; the client gets `internal_error`.
    raised = [kind for kind in _leaves(BaudError) if not issubclass(kind, _ELSEWHERE) and status_of(kind) != 500]
    assert [kind.code for kind in raised if kind.code not in documented] == []


def test_every_served_path_is_in_the_document() -> None:
    served = {path for method, path in served_routes() if method != "WS"}
    assert len(served) > 10
    assert set(document()["paths"]) == served - {"/openapi.json"}


def _leaves(kind: type[BaudError]) -> list[type[BaudError]]:
    below = kind.__subclasses__()
    return [leaf for each in below for leaf in _leaves(each)] if below else [kind]
