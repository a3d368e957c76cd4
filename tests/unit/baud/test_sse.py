"""Frames are cut from bytes exactly as the standard says, however the bytes are split into chunks."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baud.sdk.sse import FrameParser, SseFrame

STREAM = (
    b"retry: 3000\n\n"
    b'event: waiting\ndata: {"time": 1}\n\n'
    b'id: 1-0\nevent: task_agent_execute\ndata: {"text": "caf\xc3\xa9"}\n\n'
    b": a comment\n\n"
    b"id: 2-0\r\ndata: one\r\ndata: two\r\n\r\n"
)
FRAMES = [
    SseFrame("message", None, None, 3000),
    SseFrame("waiting", '{"time": 1}', None, None),
    SseFrame("task_agent_execute", '{"text": "café"}', "1-0", None),
    SseFrame("message", "one\ntwo", "2-0", None),
]


@given(st.lists(st.integers(min_value=0, max_value=len(STREAM)), max_size=12))
def test_any_chunking_gives_the_same_frames(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    parser = FrameParser()
    frames = [frame for begin, end in pairwise(edges) for frame in parser.feed(STREAM[begin:end])]
    assert frames == FRAMES


@given(st.integers(min_value=0, max_value=len(STREAM) - 1))
def test_a_frame_cut_in_the_middle_is_never_given(cut: int) -> None:
    frames = FrameParser().feed(STREAM[:cut])
    assert frames == FRAMES[: len(frames)]
    assert len(frames) < len(FRAMES)


def test_a_frame_without_its_blank_line_is_not_given() -> None:
    assert FrameParser().feed(b"id: 1-0\ndata: {}\n") == []


def test_an_id_belongs_to_its_own_frame_only() -> None:
    frames = FrameParser().feed(b"id: 1-0\ndata: a\n\nevent: keep_alive\ndata: {}\n\n")
    assert [frame.id for frame in frames] == ["1-0", None]


@pytest.mark.parametrize("separator", ["\u2028", "\x0b", "\x0c", "\x1c", "\x85"], ids=ascii)
def test_only_line_feeds_and_returns_end_a_line(separator: str) -> None:
    frames = FrameParser().feed(f"data: a{separator}b\n\n".encode())
    assert [frame.data for frame in frames] == [f"a{separator}b"]


def test_a_byte_order_mark_at_the_start_is_left_out() -> None:
    assert FrameParser().feed(b"\xef\xbb\xbfdata: a\n\n") == [SseFrame("message", "a", None, None)]
