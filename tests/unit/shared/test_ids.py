"""Ids: new ones, and those of stream entries; and the format of a time."""

import uuid
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.clock import SystemClock, isoformat
from shared.errors import InvalidStreamIdError
from shared.ids import StreamId, new_id, parse_stream_id

PARTS = st.integers(0, 2**64 - 1)


def test_new_ids_are_distinct_uuids() -> None:
    ids = {new_id() for _ in range(100)}

    assert len(ids) == 100
    assert {str(uuid.UUID(each)) for each in ids} == ids


@given(PARTS, PARTS)
def test_every_stream_id_is_read_back_as_written(milliseconds: int, sequence: int) -> None:
    stream_id = StreamId(milliseconds, sequence)

    assert parse_stream_id(str(stream_id)) == stream_id


def test_a_stream_id_without_sequence_means_the_first() -> None:
    assert parse_stream_id("1700000000000") == (1700000000000, 0)


def test_stream_ids_compare_by_number_not_by_text() -> None:
    assert parse_stream_id("10-9") < parse_stream_id("10-10") < parse_stream_id("100-0")


@pytest.mark.parametrize(
    "text",
    ["", "$", "-", "+", "abc", "1-", "-1", "1-2-3", " 1-1", "1-1\n", "1.5", "\u0661-\u0661", str(2**64), f"1-{2**64}"],
)
def test_anything_else_is_no_stream_id(text: str) -> None:
    with pytest.raises(InvalidStreamIdError, match="last_id must be"):
        parse_stream_id(text)


def test_times_are_written_in_utc_with_offset_and_microseconds() -> None:
    moment = datetime(2024, 5, 1, 12, 0, tzinfo=timezone(timedelta(hours=2)))

    assert isoformat(moment) == "2024-05-01T10:00:00.000000+00:00"


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        isoformat(datetime(2024, 5, 1))


def test_the_system_clock_is_aware_and_never_goes_back() -> None:
    clock = SystemClock()

    assert clock.now().tzinfo is UTC
    assert clock.monotonic() <= clock.monotonic()
