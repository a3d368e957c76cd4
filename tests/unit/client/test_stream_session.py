"""A reader's way through a stream: what is given, what is dropped, when it goes on and when it ends."""

import json

import pytest

from client.errors import ApiError, BaudClientError, StreamError, UnreachableError
from client.event import Event
from client.stream_session import StreamPolicy, StreamSession

SSE = {"content-type": "text/event-stream; charset=utf-8"}
POLICY = StreamPolicy(first_pause_seconds=1.0, longest_pause_seconds=8.0, max_attempts=5)


def frame(event: str, data: object, event_id: str | None = None) -> bytes:
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}event: {event}\ndata: {json.dumps(data)}\n\n".encode()


def task(event_id: str, kind: str = "assistant_delta", run_id: str = "r1") -> bytes:
    return frame("task_agent_execute", {"execute_type": kind, "run_id": run_id}, event_id)


def connected(session: StreamSession) -> StreamSession:
    assert session.begin(200, SSE, b"")
    return session


def fed(session: StreamSession, chunk: bytes) -> list[Event]:
    return list(session.feed(chunk))


def test_the_next_connection_asks_for_what_follows_the_last_event() -> None:
    session = connected(StreamSession(POLICY))
    assert "Last-Event-ID" not in session.headers()
    fed(session, task("5-0") + task("5-1"))
    assert session.headers()["Last-Event-ID"] == "5-1"


def test_ids_are_compared_as_numbers_and_never_given_twice() -> None:
    session = connected(StreamSession(POLICY, last_id="9-9"))
    events = fed(session, task("9-9") + task("9-10") + task("10-0") + task("9-10"))
    assert [event.id for event in events] == ["9-10", "10-0"]


def test_system_events_are_swallowed_unless_wanted() -> None:
    chunk = frame("waiting", {"time": 1}) + frame("keep_alive", {"time": 2})
    assert fed(connected(StreamSession(POLICY)), chunk) == []
    wanted = fed(connected(StreamSession(POLICY, include_system=True)), chunk)
    assert [event.event for event in wanted] == ["waiting", "keep_alive"]


def test_a_gap_is_given_to_the_caller() -> None:
    events = fed(connected(StreamSession(POLICY)), frame("gap", {"requested": "1-0", "first_available": "7-0"}))
    assert events == [Event(None, "gap", {"requested": "1-0", "first_available": "7-0"})]


def test_a_business_event_called_error_is_no_failure() -> None:
    events = fed(connected(StreamSession(POLICY)), frame("error", {"mine": True}, "1-0"))
    assert [event.event for event in events] == ["error"]


def test_a_run_stream_ends_at_its_own_completion_only() -> None:
    session = connected(StreamSession(POLICY, run_id="r1"))
    fed(session, task("1-0", "flow_completion", run_id="r0"))
    assert session.is_open
    events = fed(session, task("2-0", "flow_completion") + task("3-0"))
    assert [event.id for event in events] == ["2-0"]
    assert not session.is_open


def test_idle_timeout_ends_the_stream_quietly() -> None:
    session = connected(StreamSession(POLICY))
    assert fed(session, frame("error", {"error": "idle", "error_type": "timeout", "status": 408})) == []
    assert not session.is_open


@pytest.mark.parametrize("kind", ["shutdown", "unavailable", "internal_error"])
def test_a_passing_error_leads_to_a_new_connection(kind: str) -> None:
    session = connected(StreamSession(POLICY))
    fed(session, task("1-0") + frame("error", {"error": "x", "error_type": kind, "status": 503}))
    assert session.is_open
    assert not session.wants_more
    session.closed()
    assert 0.5 <= session.pause_seconds <= 1.0


def test_a_lasting_error_is_raised() -> None:
    session = connected(StreamSession(POLICY))
    with pytest.raises(StreamError, match="forbidden") as caught:
        fed(session, frame("error", {"error": "x", "error_type": "forbidden", "status": 403}))
    assert caught.value.status == 403


def test_a_bad_entry_is_given_and_the_stream_goes_on() -> None:
    bad = frame("error", {"error": "x", "error_type": "bad_entry", "status": 500})
    events = fed(connected(StreamSession(POLICY)), task("1-0") + bad + task("3-0"))
    assert [(event.id, event.event) for event in events] == [
        ("1-0", "task_agent_execute"),
        (None, "error"),
        ("3-0", "task_agent_execute"),
    ]


def test_pauses_double_up_to_the_longest() -> None:
    session = StreamSession(POLICY)
    highest = []
    for _ in range(4):
        session.lost(OSError("gone"))
        highest.append(session.pause_seconds)
    for pause, limit in zip(highest, [1, 2, 4, 8], strict=True):
        assert limit / 2 <= pause <= limit


def test_the_servers_retry_sets_the_first_pause() -> None:
    session = connected(StreamSession(POLICY))
    fed(session, b"retry: 10000\n\n")
    session.lost(OSError("gone"))
    assert 5.0 <= session.pause_seconds <= 10.0


def test_too_many_failures_in_a_row_are_raised() -> None:
    session = StreamSession(POLICY)
    for _ in range(4):
        session.lost(OSError("gone"))
    with pytest.raises(UnreachableError, match="5 tries"):
        session.lost(OSError("gone"))


@pytest.mark.parametrize("sign", [task("1-0"), frame("keep_alive", {})], ids=["event", "keep_alive"])
def test_a_sign_of_life_forgives_earlier_failures(sign: bytes) -> None:
    session = StreamSession(POLICY)
    for _ in range(4):
        session.lost(OSError("gone"))
    fed(connected(session), sign)
    session.lost(OSError("gone"))
    assert session.pause_seconds <= 1.0


def test_an_orderly_close_with_progress_goes_on_at_once() -> None:
    session = connected(StreamSession(POLICY))
    fed(session, task("1-0"))
    session.closed()
    assert session.is_open
    assert session.pause_seconds <= 0.25


def test_closing_at_once_every_time_is_a_failure() -> None:
    session = StreamSession(POLICY)
    for _ in range(4):
        connected(session).closed()
    with pytest.raises(UnreachableError):
        connected(session).closed()


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_a_refusal_that_may_pass_is_tried_again(status: int) -> None:
    session = StreamSession(POLICY)
    assert not session.begin(status, {"retry-after": "7"}, b"")
    assert session.is_open
    assert session.pause_seconds >= 7.0


def test_a_refusal_that_stays_is_raised_with_its_code() -> None:
    body = b'{"detail": "No such thread.", "code": "thread_not_found", "request_id": "q1"}'
    with pytest.raises(ApiError) as caught:
        StreamSession(POLICY).begin(404, {}, body)
    assert (caught.value.status, caught.value.code, caught.value.request_id) == (404, "thread_not_found", "q1")


def test_no_content_ends_the_stream() -> None:
    session = StreamSession(POLICY)
    assert not session.begin(204, {}, b"")
    assert not session.is_open


def test_an_answer_that_is_no_event_stream_is_refused() -> None:
    with pytest.raises(BaudClientError, match="no event stream"):
        StreamSession(POLICY).begin(200, {"content-type": "text/html"}, b"")


def test_until_completion_reads_once_more_after_the_thread_is_idle() -> None:
    session = connected(StreamSession(POLICY, until_completion=True))
    fed(session, task("1-0"))
    session.closed()
    assert session.asks_activity
    session.note_activity(is_active=False)
    assert session.is_open
    fed(connected(session), task("2-0", "flow_completion"))
    session.closed()
    assert not session.is_open


def test_until_completion_goes_on_while_a_run_is_active() -> None:
    session = connected(StreamSession(POLICY, until_completion=True))
    fed(session, task("1-0", "flow_completion"))
    session.closed()
    session.note_activity(is_active=True)
    connected(session).closed()
    assert session.is_open
    assert session.asks_activity


def test_data_that_is_no_object_is_kept_as_a_value() -> None:
    events = fed(connected(StreamSession(POLICY)), b"id: 1-0\nevent: mine\ndata: plain text\n\n")
    assert events == [Event("1-0", "mine", {"value": "plain text"})]
