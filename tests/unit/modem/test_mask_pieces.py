"""A secret does not get out in pieces: whatever the split, what is streamed is the masked whole."""

from collections.abc import Sequence

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modem.service.mask_pieces import PieceMask
from modem.service.mask_secrets import SecretMask
from shared.contract.event import AgentExecuteData, ExecuteState
from tests.fakes.fake_clock import FakeClock
from workflow.llm.model import DeltaKind, TextDelta
from workflow.runner.events import EventFactory, Step
from workflow.tool.base import ToolResult

EVENTS = EventFactory("t", "r", FakeClock())
SAID, RUN = Step("s", EVENTS.now(), "assistant_response"), Step("b", EVENTS.now(), "tool_bash")
# Few letters, so that values overlap, repeat themselves and begin alike; quotes, so that JSON writes them otherwise.
LETTERS = 'ab"\\'
SECRETS = st.lists(st.text(LETTERS, min_size=1, max_size=6), min_size=1, max_size=4)


@st.composite
def split_texts(draw: st.DrawFn) -> tuple[list[str], list[str]]:
    """Return secrets, and a text in pieces that holds them whole, broken off and as JSON."""
    secrets = draw(SECRETS)
    forms = [*secrets, *(orjson.dumps(secret).decode()[1:-1] for secret in secrets)]
    parts = draw(st.lists(st.sampled_from(forms) | st.text(LETTERS, max_size=4), max_size=8))
    text = "".join(parts)
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8)))
    return secrets, [text[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@given(split_texts())
def test_pieces_join_to_the_masked_whole(case: tuple[list[str], list[str]]) -> None:
    secrets, pieces = case
    mask = SecretMask(secrets)
    stream = mask.begin_stream()
    said = [stream.feed(piece) for piece in pieces]
    assert "".join([*said, stream.finish()]) == mask.foreign_text("".join(pieces))


@given(split_texts())
def test_nothing_that_may_become_a_secret_is_said_too_early(case: tuple[list[str], list[str]]) -> None:
    secrets, pieces = case
    mask = SecretMask(secrets)
    stream = mask.begin_stream()
    said = ""
    for number, piece in enumerate(pieces):
        said += stream.feed(piece)
        for secret in secrets:  # whatever comes next, what is out stays true
            assert mask.foreign_text("".join(pieces[: number + 1]) + secret).startswith(said)


def test_text_without_a_secret_is_said_at_once_and_untouched() -> None:
    pieces = PieceMask(SecretMask(["long-enough"]))
    for text in ("a word ", "and another"):
        event = EVENTS.delta(SAID, TextDelta(text))
        (told,) = pieces.pass_on(event)
        assert told is event
    assert pieces.finish() == []


def texts(events: Sequence[AgentExecuteData]) -> list[object]:
    results = [event.execute_result or {} for event in events]
    return [
        piece.get("text", piece.get("result")) for each in results for piece in each.values() if isinstance(piece, dict)
    ]


def output(text: str) -> AgentExecuteData:
    return EVENTS.tool_progress(RUN, {"tool_bash_result": {"cmd": "x", "cwd": "/", "result": text}})


def test_output_held_back_is_told_before_the_end_of_its_command() -> None:
    pieces = PieceMask(SecretMask(["long-enough"]))
    end = EVENTS.tool_end(RUN, ToolResult("", {"tool_bash_result": {"cmd": "x", "cwd": "/", "result": "whole"}}))
    told = [each for text in ("a long-", "enough b", " long-") for each in pieces.pass_on(output(text))]
    assert texts(told) == ["a ", "*** b", " "]
    rest, last = pieces.pass_on(end)
    assert texts([rest]) == ["long-"]
    assert (rest.current_state, last) == (ExecuteState.PROCESSING, end)
    assert pieces.finish() == []


def test_texts_that_are_streamed_side_by_side_are_kept_apart() -> None:
    pieces = PieceMask(SecretMask(["long-enough"]))
    thought = DeltaKind.REASONING
    events = [EVENTS.delta(SAID, TextDelta("long-")), EVENTS.delta(SAID, TextDelta("long-", thought)), output("long-")]
    assert [each for event in events for each in pieces.pass_on(event)] == []
    assert texts(pieces.pass_on(EVENTS.delta(SAID, TextDelta("enough")))) == ["***"]
    assert texts(pieces.pass_on(output("ago"))) == ["long-ago"]
    assert texts(pieces.finish()) == ["long-"]


@pytest.mark.parametrize(
    "result", [{"x": "long-"}, {"tool_bash_result": "long-"}, {"tool_bash_result": {"cmd": "long-"}}]
)
def test_output_of_another_shape_is_passed_on(result: dict[str, object]) -> None:
    event = EVENTS.tool_progress(RUN, {}).model_copy(update={"execute_result": result})
    assert PieceMask(SecretMask(["long-enough"])).pass_on(event) == [event]
