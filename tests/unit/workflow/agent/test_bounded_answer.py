"""Too much text, too many calls or odd names cost the run a turn; it goes on."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from shared.contract.message import Role, ToolCall
from shared.contract.run import StopReason
from tests.fakes.scripted_model import DEFAULT_USAGE, Reply, calls, says
from tests.unit.workflow.runner.scene import PLAN, Scene
from workflow.llm.model import (
    MAX_ANSWER_CHARS,
    MAX_CALLS,
    DeltaKind,
    FinishReason,
    ModelAnswer,
    ModelRequest,
    StreamItem,
    TextDelta,
)

READ = '{"file_path": "a.txt"}'


class EndlessModel:
    """Streams the same piece for ever at the first call, then ends; `streamed` counts the pieces."""

    def __init__(self, piece: TextDelta) -> None:
        self.piece = piece
        self.streamed = 0
        self.asked: list[ModelRequest] = []

    async def stream(self, request: ModelRequest) -> AsyncGenerator[StreamItem, None]:
        self.asked.append(request)
        while len(self.asked) == 1:
            self.streamed += 1
            await asyncio.sleep(0)
            yield self.piece
        yield ModelAnswer("done", (), FinishReason.STOP, DEFAULT_USAGE)


@pytest.mark.parametrize("kind", DeltaKind)
@pytest.mark.parametrize("size", [500, 10_000_000], ids=["in pieces", "at once"])
async def test_text_without_end_is_cut_off_and_the_run_goes_on(kind: DeltaKind, size: int) -> None:
    scene = Scene([])
    model = EndlessModel(TextDelta("x" * size, kind))
    scene.model = model  # type: ignore[assignment]  # another fake of the same port
    assert (await scene.play()).stop_reason is StopReason.COMPLETED
    assert model.streamed <= MAX_ANSWER_CHARS // size + 2
    assert sum(message.size() for message in model.asked[1].messages) < 40_000
    assert "cut off" in model.asked[1].messages[-1].text()
    assert sum(len(event.to_json()) for event in scene.log.events) < 3 * MAX_ANSWER_CHARS
    assert scene.log.usage is not None
    assert scene.log.usage.output_tokens > MAX_ANSWER_CHARS // 5, "what it cost is not forgotten"


async def test_an_answer_that_comes_in_one_item_is_bounded_too() -> None:
    scene = Scene([says("x" * (MAX_ANSWER_CHARS + 1))])
    scene.model.script = (Reply(answer=ModelAnswer("x" * 5_000_000, (), FinishReason.STOP, DEFAULT_USAGE)),)
    assert (await scene.play()).stop_reason is StopReason.COMPLETED
    assert len(scene.log.messages[-1].text()) < 40_000


async def test_a_thousand_calls_are_answered_by_the_first_and_a_note() -> None:
    many = tuple(ToolCall(call_id=f"c{number}", name="file_read", arguments=READ) for number in range(1000))
    turn = Reply(answer=ModelAnswer("", many, FinishReason.TOOL_CALLS, DEFAULT_USAGE))
    scene = Scene([PLAN, turn, says("done")])
    assert (await scene.play()).stop_reason is StopReason.COMPLETED
    assert len(scene.answers()) == 1 + MAX_CALLS
    scene.log.assert_every_init_is_closed_once()
    request = scene.model.requests[-1]
    assert request.messages[-1].role is Role.USER
    assert f"first {MAX_CALLS} of the 1000 calls" in request.messages[-1].text()


IDS = ["a", "a", "", "", "x" * 100_000, "id with spaces\n", "naïve", "a:b/{c}", "\x00"]


async def test_each_call_of_an_answer_has_a_unique_printable_id() -> None:
    turn_calls = tuple(ToolCall(call_id=each, name="file_read", arguments=READ) for each in IDS)
    turn = Reply(answer=ModelAnswer("", turn_calls, FinishReason.TOOL_CALLS, DEFAULT_USAGE))
    scene = Scene([PLAN, turn, turn, says("done")])
    assert (await scene.play()).stop_reason is StopReason.COMPLETED
    scene.log.assert_every_init_is_closed_once()
    ids = [call.call_id for message in scene.log.messages for call in message.tool_calls]
    assert len(ids) == len(set(ids)) == 1 + 2 * len(IDS)
    assert sorted(ids) == sorted(call_id for call_id, _ in scene.answers() if call_id), "each is answered once"
    assert all(call_id.isascii() and call_id.isprintable() and len(call_id) < 20_000 for call_id in ids)
    assert {"a", "a:b/{c}"} <= set(ids), "an id that is fine stays as it is"


@pytest.mark.parametrize("name", ["x" * 1_000_000, "", "no such\ntool", "\ud800", "ns.tool"])
async def test_a_name_that_a_provider_would_refuse_is_made_plain(name: str) -> None:
    wanted = (ToolCall(call_id="c", name=name, arguments=READ),)
    scene = Scene([PLAN, Reply(answer=ModelAnswer("", wanted, FinishReason.TOOL_CALLS, DEFAULT_USAGE)), says("done")])
    assert (await scene.play()).stop_reason is StopReason.COMPLETED
    (call,) = scene.log.messages[-3].tool_calls
    assert 0 < len(call.name) <= 64
    assert call.name.replace("-", "").replace("_", "a").isalnum()
    assert "There is no tool" in scene.answers()[-1][1]


@pytest.mark.parametrize("arguments", ["[" * 100_000, '{"a":' * 100_000, '{"a": "\\ud800"}', "\ud800", "9" * 100_000])
async def test_arguments_that_are_deep_or_broken_are_answered(arguments: str) -> None:
    scene = Scene([PLAN, calls(("file_read", arguments)), says("done")])
    assert (await scene.play()).stop_reason is StopReason.COMPLETED
    assert scene.log.kinds().count(("tool_file_read", "error")) == 1
    assert all(event.to_json() for event in scene.log.events)


async def test_text_with_half_a_character_is_mended() -> None:
    deltas = (TextDelta("a\ud83d"), TextDelta("\ude00"))
    scene = Scene([Reply(deltas=deltas, answer=ModelAnswer("a\ud83d\ude00", (), FinishReason.STOP, DEFAULT_USAGE))])
    assert (await scene.play()).stop_reason is StopReason.COMPLETED
    assert scene.log.messages[-1].text() == "a\N{GRINNING FACE}"
    assert all(event.to_json() for event in scene.log.events)
