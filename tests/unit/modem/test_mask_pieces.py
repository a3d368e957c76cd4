"""A secret does not get out in pieces: however it is split, the streamed text is masked."""

from collections.abc import Sequence

import pytest

from modem.service.run_log.mask_pieces import PieceMask
from modem.service.run_log.mask_secrets import SecretMask
from shared.contract.event import AgentExecuteData, AssistantDelta, ExecuteState, RunEvent
from shared.contract.secret import MASKED
from tests.fakes.fake_clock import FakeClock
from workflow.journal.events import EventFactory, EventSpan
from workflow.llm.model import DeltaKind, TextDelta
from workflow.tool.base import ToolResult

EVENTS = EventFactory("t", "r", FakeClock())
ANSWER, RUN = EventSpan("s", EVENTS.now(), "assistant_response"), EventSpan("b", EVENTS.now(), "tool_bash")


def test_text_without_a_secret_is_passed_on_at_once_and_unchanged() -> None:
    pieces = PieceMask(SecretMask(["long-enough"]))
    for text in ("a word ", "and another"):
        event = EVENTS.delta(ANSWER, TextDelta(text))
        (passed,) = pieces.pass_on(event)
        assert passed is event
    assert pieces.finish() == []


def texts(events: Sequence[RunEvent]) -> list[object]:
    return [text for event in events for text in texts_of(event)]


def texts_of(event: RunEvent) -> list[object]:
    if isinstance(event, AssistantDelta):
        return [event.text]
    return [piece.get("result") for piece in (event.execute_result or {}).values() if isinstance(piece, dict)]


def output(text: str) -> AgentExecuteData:
    return EVENTS.tool_progress(RUN, {"tool_bash_result": {"cmd": "x", "cwd": "/", "result": text}})


def test_output_held_back_is_passed_on_before_the_end_of_its_command() -> None:
    pieces = PieceMask(SecretMask(["long-enough"]))
    end = EVENTS.tool_end(RUN, ToolResult("", {"tool_bash_result": {"cmd": "x", "cwd": "/", "result": "whole"}}))
    passed = [each for text in ("a long-", "enough. ", " long-") for each in pieces.pass_on(output(text))]
    assert texts(passed) == ["a ", f"{MASKED}. ", " "]
    rest, last = pieces.pass_on(end)
    assert texts([rest]) == ["long-"]
    assert isinstance(rest, AgentExecuteData)
    assert (rest.current_state, last) == (ExecuteState.PROCESSING, end)
    assert pieces.finish() == []


def test_texts_that_are_streamed_side_by_side_are_kept_apart() -> None:
    pieces = PieceMask(SecretMask(["long-enough"]))
    thought = DeltaKind.REASONING
    events: list[RunEvent] = [
        EVENTS.delta(ANSWER, TextDelta("long-")),
        EVENTS.delta(ANSWER, TextDelta("long-", thought)),
        output("long-"),
    ]
    assert [each for event in events for each in pieces.pass_on(event)] == []
    assert texts(pieces.pass_on(EVENTS.delta(ANSWER, TextDelta("enough")))) == [MASKED]
    assert texts(pieces.pass_on(output("ago"))) == ["long-ago"]
    assert texts(pieces.finish()) == ["long-"]


@pytest.mark.parametrize(
    "result", [{"x": "long-"}, {"tool_bash_result": "long-"}, {"tool_bash_result": {"cmd": "long-"}}]
)
def test_output_of_another_shape_is_passed_on(result: dict[str, object]) -> None:
    event = EVENTS.tool_progress(RUN, {}).model_copy(update={"execute_result": result})
    assert [*PieceMask(SecretMask(["long-enough"])).pass_on(event)] == [event]
