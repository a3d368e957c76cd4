"""The parser of calls in text reads each character once, in however many pieces it comes."""

import pytest

from workflow.llm.model import MAX_CALLS
from workflow.llm.text_tool_parser import CLOSE, OPEN, TextToolParser


@pytest.mark.parametrize("size", [1, 7, 1_000_000], ids=["by character", "in pieces", "at once"])
@pytest.mark.parametrize("inside", [True, False], ids=["inside", "outside"])
def test_a_long_text_is_held_only_as_far_as_it_may_begin_a_tag(size: int, inside: bool) -> None:
    parser = TextToolParser()
    parser.feed(OPEN if inside else "")
    text = "<tool_cal </tool" * 20_000
    for begin in range(0, len(text), size):
        parser.feed(text[begin : begin + size])
        assert len(parser._held) < len(CLOSE)
    parser.finish()
    assert (parser.blocks, parser.text) == (([text], "") if inside else ([], text))


@pytest.mark.parametrize("size", [1, 5, 1_000_000])
def test_many_blocks_in_one_text_are_found_up_to_their_limit(size: int) -> None:
    parser = TextToolParser()
    text = f"a{OPEN}x{CLOSE}" * 5_000
    shown = "".join(parser.feed(text[begin : begin + size]) for begin in range(0, len(text), size)) + parser.finish()
    assert (shown, parser.text, parser.blocks) == ("a" * 5_000, "a" * 5_000, ["x"] * MAX_CALLS)
