"""A ticket counts for the thread whose stream the request is answered with, and for no other request."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.routing import Match

from gateway.core.ticket_routes import presented_ticket
from tests.documented import app, served_routes

_STREAMS = {
    "GET /api/agent/{thread_id}/stream",
    "GET /api/agent/{thread_id}/runs/{run_id}/stream",
    "GET /agent/event-stream",
    "WS /ws/agent/{thread_id}",
}


def _scope(method: str, path: str, query: str = "ticket=t") -> dict[str, Any]:
    kind = {"type": "websocket"} if method == "WS" else {"type": "http", "method": method}
    return {**kind, "path": path, "query_string": query.encode(), "headers": []}


@pytest.mark.parametrize(("method", "path"), served_routes())
def test_the_streams_take_tickets_and_no_other_route(method: str, path: str) -> None:
    ids = {"thread_id": "T", "run_id": "R", "user": "u", "key_id": "k"}
    found = presented_ticket(_scope(method, path.format_map(ids), "ticket=t&flowUuid=T"))
    assert found == (("t", "T") if f"{method} {path}" in _STREAMS else None)


def test_without_a_ticket_or_a_thread_there_is_none() -> None:
    assert presented_ticket(_scope("GET", "/api/agent/T/stream", "")) is None
    assert presented_ticket(_scope("GET", "/api/agent/T/stream", "ticket=")) is None
    assert presented_ticket(_scope("GET", "/agent/event-stream", "ticket=t")) is None


def _thread_of_stream(scope: dict[str, Any]) -> str | None:
    """Return the thread that the router passes to the route of a stream."""
    for router in app().routes:
        for route in router.original_router.routes if hasattr(router, "original_router") else ():
            match, child = route.matches(scope)
            if match is Match.FULL:
                name = f"{scope.get('method', 'WS')} {route.path}"
                return child["path_params"].get("thread_id") if name in _STREAMS else None
    return None


_PART = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(["stream", "runs", "api", "a/b", "", "\n"])


@given(
    st.sampled_from(["GET", "HEAD", "POST", "WS"]),
    st.lists(_PART, min_size=1, max_size=5).map("/".join),
    st.sampled_from(["/api/agent/", "/ws/agent/", "/agent/", "/"]),
)
def test_the_thread_is_the_one_that_the_router_finds(method: str, rest: str, prefix: str) -> None:
    scope = _scope(method, prefix + rest)
    found = presented_ticket(scope)
    thread_id = _thread_of_stream(scope)
    assert found == (None if thread_id is None else ("t", thread_id))
