"""The state of one stream: what is yielded, what is dropped, and when it ends."""

import pytest

from baud.sdk.errors import StreamError
from baud.sdk.event import Event, Gap
from baud.sdk.stream_request import StreamQuery
from baud.sdk.stream_session import StreamCounts, StreamSession
from tests.unit.baud.stream_scene import POLICY, closing_error, connected, fed, frame, new_session, task


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


def test_events_that_come_again_are_counted() -> None:
    counts = StreamCounts()
    session = StreamSession(POLICY, StreamQuery("t1"), counts=counts)
    fed(connected(session), task("1-0") + task("2-0"))
    assert len(fed(connected(session), task("1-0") + task("2-0") + task("3-0"))) == 1
    assert counts == StreamCounts(connections=2, duplicates=2)


def test_no_content_ends_the_stream() -> None:
    session = new_session()
    assert not session.begin(204, {}, b"")
    assert not session.is_open


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
