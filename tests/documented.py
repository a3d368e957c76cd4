"""Whether what a gateway answers stands in its OpenAPI document; the tests look at every answer through this."""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute, APIWebSocketRoute
from starlette.routing import BaseRoute, Route, WebSocketRoute

from gateway.core.main import create_app
from shared.settings.load import load_settings


@cache
def document() -> dict[str, Any]:
    """Return the OpenAPI document."""
    return app().openapi()


@cache
def app() -> FastAPI:
    """Return a gateway that is not served."""
    return create_app(load_settings({}, Path("/nowhere")))


def served_routes() -> list[tuple[str, str]]:
    """Return method and path of every route that the gateway serves; WS stands for a WebSocket."""
    return sorted((method, path.replace(":path}", "}")) for method, path in _served(app().routes))


def _served(routes: Iterable[BaseRoute]) -> Iterator[tuple[str, str]]:
    for route in routes:
        if (included := getattr(route, "original_router", None)) is not None:
            yield from _served(included.routes)
        elif isinstance(route, WebSocketRoute | APIWebSocketRoute):
            yield "WS", route.path
        else:
            assert isinstance(route, Route | APIRoute), f"routes of the type {type(route)} are not looked at"
            yield from ((method, route.path) for method in route.methods or ())


def require_documented(method: str, path: str, status: int, content_type: str) -> None:
    """Fail if a documented route answers with what the document does not know."""
    operation = _operation(method, path)
    if operation is None:
        return
    responses = operation["responses"]
    assert str(status) in responses, f"{method} {path} answers {status}, which its OpenAPI document does not know"
    if status == 204:  # it has no body, whatever its header says
        return
    wanted = responses[str(status)].get("content", {})
    kind = content_type.partition(";")[0]
    assert not kind or kind in wanted, f"{method} {path} answers {status} with {kind}, documented is {list(wanted)}"


def _operation(method: str, path: str) -> dict[str, Any] | None:
    for pattern, operations in _routes():
        if pattern.fullmatch(path):
            found: dict[str, Any] | None = operations.get(method.lower())
            return found
    return None


@cache
def _routes() -> list[tuple[re.Pattern[str], dict[str, Any]]]:
    paths = sorted(document()["paths"].items(), key=lambda item: item[0].count("{"))  # words before parameters
    return [(re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), operations) for path, operations in paths]
