"""The state of one stream: what is yielded, what is dropped, when it reconnects and when it ends."""

import json
import ssl
from typing import Any

import httpx
import pytest

from baud.sdk.backoff import StreamPolicy
from baud.sdk.errors import ApiError, BaudClientError, StreamError, StreamLostError, UnreachableError
from baud.sdk.event import Event, Gap
from baud.sdk.stream_request import StreamQuery
from baud.sdk.stream_session import StreamCounts, StreamSession
from tests.fakes.fake_clock import FakeClock

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


def test_the_next_connection_asks_for_what_follows_the_last_event() -> None:
    session = connected(new_session())
    assert "Last-Event-ID" not in session.headers()
    fed(session, task("5-0") + task("5-1"))
    assert session.headers()["Last-Event-ID"] == "5-1"


def test_ids_are_compared_as_numbers_and_never_given_twice() -> None:
    session = connected(new_session(last_id="9-9"))
    events = fed(session, task("9-9") + task("9-10") + task("10-0") + task("9-10"))
    assert [event.id for event in events] == ["9-10", "10-0"]


def test_system_events_are_dropped_unless_wanted() -> None:
    chunk = frame("waiting", {"time": 1}) + frame("keep_alive", {"time": 2})
    assert fed(connected(new_session()), chunk) == []
    wanted = fed(connected(new_session(include_system=True)), chunk)
    assert [event.event for event in wanted] == ["waiting", "keep_alive"]


def test_a_gap_is_given_to_the_caller() -> None:
    (gap,) = fed(connected(new_session()), frame("gap", {"requested": "1-0", "first_available": "7-0"}))
    assert isinstance(gap, Gap)
    assert (gap.event, gap.requested, gap.first_available) == ("gap", "1-0", "7-0")


def test_the_same_gap_is_given_once_however_often_the_connection_breaks() -> None:
    session = connected(new_session())
    gap = frame("gap", {"requested": "1-0", "first_available": "7-0"})
    assert len(fed(session, gap)) == 1
    assert fed(connected(session), gap) == []
    assert len(fed(connected(session), frame("gap", {"requested": "1-0", "first_available": "9-0"}))) == 1


def test_an_event_of_the_log_called_gap_is_not_a_gap() -> None:
    (event,) = fed(connected(new_session()), frame("gap", {"mine": True}, "1-0"))
    assert not isinstance(event, Gap)


def test_a_business_event_called_error_is_no_failure() -> None:
    events = fed(connected(new_session()), frame("error", {"mine": True}, "1-0"))
    assert [event.event for event in events] == ["error"]


def test_a_run_stream_ends_at_its_own_completion_only() -> None:
    session = connected(new_session(run_id="r1"))
    fed(session, task("1-0", "flow_completion", run_id="r0"))
    assert session.is_open
    events = fed(session, task("2-0", "flow_completion") + task("3-0"))
    assert [event.id for event in events] == ["2-0"]
    assert not session.is_open


def test_idle_timeout_ends_the_stream_quietly() -> None:
    session = connected(new_session())
    assert fed(session, frame("error", {"error": "idle", "error_type": "timeout", "status": 408})) == []
    assert not session.is_open


def closing_error(kind: str, status: int = 503) -> bytes:
    return frame("error", {"error": "x", "error_type": kind, "status": status})


@pytest.mark.parametrize(("kind", "status"), [("unavailable", 503), ("internal_error", 500), ("busy", 429)])
def test_a_passing_error_leads_to_a_new_connection_after_a_pause(kind: str, status: int) -> None:
    session = connected(new_session())
    fed(session, task("1-0") + closing_error(kind, status))
    assert session.is_open
    assert not session.wants_more
    session.closed()
    assert session.wants_other_gateway
    assert 0.5 <= session.pause_seconds <= 1.0


def test_a_gateway_that_shuts_down_is_left_for_another_at_once() -> None:
    session = connected(new_session())
    fed(session, task("1-0") + closing_error("shutdown"))
    session.closed()
    assert session.is_open
    assert session.wants_other_gateway
    assert session.pause_seconds <= 0.25


def test_gateways_that_always_shut_down_are_a_failure() -> None:
    session = new_session()
    for _ in range(4):
        fed(connected(session), closing_error("shutdown"))
        session.closed()
    assert session.pause_seconds >= 4.0


def test_an_idle_thread_is_still_followed_if_wanted() -> None:
    session = connected(new_session(stay_when_idle=True))
    assert fed(session, closing_error("timeout", 408)) == []
    assert not session.wants_more
    session.closed()
    assert session.is_open
    assert session.pause_seconds <= 0.25


def test_the_closing_event_of_the_gateway_is_given_if_wanted() -> None:
    session = connected(new_session(include_system=True))
    assert [event.data["error_type"] for event in fed(session, closing_error("shutdown"))] == ["shutdown"]


def test_a_lasting_error_is_raised() -> None:
    session = connected(new_session())
    with pytest.raises(StreamError, match="forbidden") as caught:
        fed(session, frame("error", {"error": "x", "error_type": "forbidden", "status": 403}))
    assert caught.value.status == 403


def test_a_bad_entry_is_given_and_the_stream_continues() -> None:
    bad = frame("error", {"error": "x", "error_type": "bad_entry", "status": 500})
    events = fed(connected(new_session()), task("1-0") + bad + task("3-0"))
    assert [(event.id, event.event) for event in events] == [
        ("1-0", "task_agent_execute"),
        (None, "error"),
        ("3-0", "task_agent_execute"),
    ]


def test_pauses_double_up_to_the_longest() -> None:
    session = new_session()
    highest = []
    for _ in range(4):
        session.lost(OSError("gone"))
        highest.append(session.pause_seconds)
    for pause, limit in zip(highest, [1, 2, 4, 8], strict=True):
        assert limit / 2 <= pause <= limit


@pytest.mark.parametrize(("retry", "longest"), [(6000, 6.0), (99_999_999, 8.0)], ids=["fair", "absurd"])
def test_the_servers_retry_sets_the_first_pause(retry: int, longest: float) -> None:
    session = connected(new_session())
    fed(session, b"retry: %d\n\n" % retry)
    session.lost(OSError("gone"))
    assert longest / 2 <= session.pause_seconds <= longest


def test_an_outage_that_lasts_too_long_is_raised_with_the_last_id() -> None:
    clock = FakeClock()
    begin = clock.monotonic()
    session = StreamSession(POLICY, StreamQuery("t1"), now=clock.monotonic)
    fed(connected(session), task("5-0"))
    tries = 0

    def fail_again() -> None:
        nonlocal tries
        tries += 1
        session.lost(OSError("gone"))
        clock.advance(session.pause_seconds)

    while clock.monotonic() < begin + 60.0:
        fail_again()
    with pytest.raises(StreamLostError, match=r"for 60 s, .* OSError: gone; .* last_id='5-0'") as caught:
        fail_again()
    assert caught.value.last_id == "5-0"
    assert caught.value.outage_seconds == pytest.approx(60.0)  # the last pause was cut to what was left
    assert f"{tries} tries" in str(caught.value)


def test_an_outage_begins_with_the_first_failure_after_an_event() -> None:
    clock = FakeClock()
    session = StreamSession(POLICY, StreamQuery("t1"), now=clock.monotonic)
    for _ in range(3):
        session.lost(OSError("gone"))
        clock.advance(50.0)
        fed(connected(session), frame("keep_alive", {}))
        clock.advance(100.0)
    session.lost(OSError("gone"))
    assert session.is_open


def test_every_gateway_of_a_list_is_tried_before_a_long_pause() -> None:
    session = StreamSession(POLICY, StreamQuery("t1"), gateway_count=3)
    pauses = []
    for _ in range(6):
        session.lost(OSError("gone"))
        assert session.wants_other_gateway
        pauses.append(session.pause_seconds)
    assert max(pauses[0], pauses[1], pauses[3], pauses[4]) <= 0.25
    assert 0.5 <= pauses[2] <= 1.0
    assert 1.0 <= pauses[5] <= 2.0


def test_an_outage_is_logged_and_a_single_lost_connection_is_not(caplog: pytest.LogCaptureFixture) -> None:
    session = new_session()
    session.lost(OSError("gone"))
    assert caplog.messages == []
    session.lost(OSError("still gone"))
    assert [message.partition(";")[0] for message in caplog.messages] == [
        "the stream is interrupted (OSError: still gone)"
    ]


def _bad_certificate() -> Exception:
    error = httpx.ConnectError("self-signed certificate")
    error.__cause__ = ssl.SSLCertVerificationError()
    return error


@pytest.mark.parametrize(
    "error", [_bad_certificate(), httpx.UnsupportedProtocol("ftp"), httpx.LocalProtocolError("Illegal header value")]
)
def test_what_another_try_would_not_change_is_raised_at_once(error: Exception) -> None:
    with pytest.raises(UnreachableError, match="cannot be requested"):
        new_session().lost(error)


def test_events_that_come_again_are_counted() -> None:
    counts = StreamCounts()
    session = StreamSession(POLICY, StreamQuery("t1"), counts=counts)
    fed(connected(session), task("1-0") + task("2-0"))
    assert len(fed(connected(session), task("1-0") + task("2-0") + task("3-0"))) == 1
    assert counts == StreamCounts(connections=2, duplicates=2)


@pytest.mark.parametrize("received", [task("1-0"), frame("keep_alive", {})], ids=["event", "keep_alive"])
def test_an_event_or_keep_alive_resets_earlier_failures(received: bytes) -> None:
    session = new_session()
    for _ in range(4):
        session.lost(OSError("gone"))
    fed(connected(session), received)
    session.lost(OSError("gone"))
    assert session.pause_seconds <= 1.0


def test_an_orderly_close_with_progress_reconnects_at_once() -> None:
    session = connected(new_session())
    fed(session, task("1-0"))
    session.closed()
    assert session.is_open
    assert session.pause_seconds <= 0.25


def test_closing_at_once_every_time_is_a_failure() -> None:
    session = new_session()
    for _ in range(4):
        connected(session).closed()
    assert session.pause_seconds >= 4.0


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_refusal_that_may_pass_is_tried_again(status: int) -> None:
    session = new_session()
    assert not session.begin(status, {"retry-after": "7"}, b"")
    assert session.is_open
    assert session.pause_seconds >= 7.0


def test_a_refusal_that_stays_is_raised_with_its_code() -> None:
    body = b'{"detail": "No such thread.", "code": "thread_not_found", "request_id": "q1"}'
    with pytest.raises(ApiError) as caught:
        new_session().begin(404, {}, body)
    assert (caught.value.status, caught.value.code, caught.value.request_id) == (404, "thread_not_found", "q1")


def test_no_content_ends_the_stream() -> None:
    session = new_session()
    assert not session.begin(204, {}, b"")
    assert not session.is_open


HTML = {"content-type": "text/html"}


def test_a_response_that_is_not_an_event_stream_is_refused() -> None:
    with pytest.raises(BaudClientError, match="not an event stream but text/html"):
        new_session().begin(200, HTML, b"")


def test_a_proxys_page_in_place_of_an_earlier_stream_is_retried() -> None:
    session = connected(new_session())
    assert not session.begin(200, HTML, b"")
    assert session.is_open
    assert session.pause_seconds >= 0.5


def test_a_media_type_may_be_written_in_capitals() -> None:
    assert new_session().begin(200, {"content-type": "Text/Event-Stream"}, b"")


def test_a_lost_answer_about_activity_leads_to_another_connection() -> None:
    session = connected(new_session(until_completion=True))
    session.closed()
    assert session.asks_activity
    session.lost(UnreachableError("gone"))
    assert session.is_open
    assert not session.asks_activity


def test_until_completion_reads_once_more_after_the_thread_is_idle() -> None:
    session = connected(new_session(until_completion=True))
    fed(session, task("1-0"))
    session.closed()
    assert session.asks_activity
    session.note_activity(is_active=False)
    assert session.is_open
    fed(connected(session), task("2-0", "flow_completion"))
    session.closed()
    assert not session.is_open


def test_until_completion_reconnects_while_a_run_is_active() -> None:
    session = connected(new_session(until_completion=True))
    fed(session, task("1-0", "flow_completion"))
    session.closed()
    session.note_activity(is_active=True)
    connected(session).closed()
    assert session.is_open
    assert session.asks_activity


def test_data_that_is_not_an_object_is_kept_as_a_value() -> None:
    events = fed(connected(new_session()), b"id: 1-0\nevent: mine\ndata: plain text\n\n")
    assert events == [Event("1-0", "mine", {"value": "plain text"})]
