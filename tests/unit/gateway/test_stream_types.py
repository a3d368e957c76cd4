"""How entries and control events are encoded."""

import json

import pytest

from gateway.service.stream.types import control_event_of, error_event, frame_of
from shared.contract.event import StreamEntry
from shared.ids import StreamId


def _entry(event: str = "e", data: bytes = b'{"a":1}') -> StreamEntry:
    return StreamEntry("12-3", event, data, "run", is_final=True)


def test_an_entry_becomes_one_frame_with_its_redis_id() -> None:
    frame = frame_of(_entry())
    assert frame.sse == b'id: 12-3\nevent: e\ndata: {"a":1}\n\n'
    assert (frame.id, frame.run_id, frame.is_final) == (StreamId(12, 3), "run", True)


def test_a_frame_is_encoded_once_for_all_clients() -> None:
    frame = frame_of(_entry())
    assert frame.sse is frame.sse


@pytest.mark.parametrize("line_break", [b"\n", b"\r", b"\r\n"], ids=["LF", "CR", "CRLF"])
def test_data_with_line_breaks_is_split_into_data_lines(line_break: bytes) -> None:
    frame = frame_of(_entry(data=b"one" + line_break + b"two"))
    assert frame.sse == b"id: 12-3\nevent: e\ndata: one\ndata: two\n\n"


@pytest.mark.parametrize(
    "entry", [_entry(event=""), _entry(data=b""), _entry(event="a\nid: 99-0"), _entry(event="a\rb")],
    ids=["no event", "no data", "LF in the event", "CR in the event"],
)  # fmt: skip
def test_an_unusable_entry_becomes_an_error_without_an_id(entry: StreamEntry) -> None:
    frame = frame_of(entry)
    lines = frame.sse.decode().splitlines()
    assert frame.wire_id is None
    assert lines[0] == "event: error"
    assert not any(line.startswith("id:") for line in lines)
    assert json.loads(lines[1].removeprefix("data: "))["error_type"] == "bad_entry"


def test_data_is_passed_on_untouched() -> None:
    data = '{"text":"ü \u2028 😀","spaces":  1}'.encode()
    assert data in frame_of(_entry(data=data)).sse


def test_control_events_have_their_fields_and_no_id() -> None:
    assert control_event_of("waiting", {"time": "now"}).sse == b'event: waiting\ndata: {"time":"now"}\n\n'
    assert error_event("why", "timeout", 408).sse == (
        b'event: error\ndata: {"error":"why","error_type":"timeout","status":408}\n\n'
    )
