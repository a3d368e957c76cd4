"""For tests of a stream: a session without connections, and what a gateway sends it."""

import json
from typing import Any

from baud.sdk.backoff import StreamPolicy
from baud.sdk.event import Event
from baud.sdk.stream_request import StreamQuery
from baud.sdk.stream_session import StreamSession

SSE = {"content-type": "text/event-stream; charset=utf-8"}
POLICY = StreamPolicy(first_pause_seconds=1.0, longest_pause_seconds=8.0, longest_outage_seconds=60.0)


def frame(event: str, data: object, event_id: str | None = None) -> bytes:
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}event: {event}\ndata: {json.dumps(data)}\n\n".encode()


def task(event_id: str, kind: str = "assistant_delta", run_id: str = "r1") -> bytes:
    return frame("task_agent_execute", {"execute_type": kind, "run_id": run_id}, event_id)


def new_session(**wanted: Any) -> StreamSession:
    return StreamSession(POLICY, StreamQuery("t1", **wanted))


def connected(session: StreamSession) -> StreamSession:
    assert session.begin(200, SSE, b"")
    return session


def fed(session: StreamSession, chunk: bytes) -> list[Event]:
    return list(session.feed(chunk))


def closing_error(kind: str, status: int = 503) -> bytes:
    return frame("error", {"error": "x", "error_type": kind, "status": status})
