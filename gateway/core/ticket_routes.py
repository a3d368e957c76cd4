"""Which requests may present a stream ticket: those for the streams of a thread, and no others."""

from typing import Final

from starlette.datastructures import QueryParams
from starlette.routing import compile_path
from starlette.types import Scope

# Compiled as the routes themselves are, so that what is found here is the thread that the route serves.
_STREAMS: Final = tuple(
    compile_path(f"/api/agent/{{thread_id}}{rest}")[0] for rest in ("/stream", "/runs/{run_id}/stream")
)
_SOCKETS: Final = (compile_path("/ws/agent/{thread_id}")[0],)
_LEGACY_STREAM: Final = "/agent/event-stream"
_LEGACY_THREAD: Final = "flowUuid"
_TICKET: Final = "ticket"


def presented_ticket(scope: Scope) -> tuple[str, str] | None:
    """Return the ticket of a request and the thread whose stream it asks for; None for any other request."""
    query = QueryParams(scope["query_string"])
    ticket = query.get(_TICKET)
    thread_id = _thread_of(scope, query) if ticket else None
    return None if not ticket or thread_id is None else (ticket, thread_id)


def _thread_of(scope: Scope, query: QueryParams) -> str | None:
    path: str = scope["path"]
    is_socket = scope["type"] == "websocket"
    if not is_socket and scope["method"] != "GET":
        return None
    if not is_socket and path == _LEGACY_STREAM:
        return query.get(_LEGACY_THREAD)
    found = (pattern.match(path) for pattern in (_SOCKETS if is_socket else _STREAMS))
    return next((match["thread_id"] for match in found if match), None)
