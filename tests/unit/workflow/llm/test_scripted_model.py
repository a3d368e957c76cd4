"""The scripted model keeps to its script, or fails with a clear message."""

import asyncio
import json

import pytest

from shared.contract.message import ChatMessage, Role
from tests.fakes.scripted_model import ScriptedModel, calls, fails, hangs, says
from workflow.errors import TransientModelError
from workflow.llm.model import FinishReason, ModelAnswer, ModelRequest, StreamItem, TextDelta

REQUEST = ModelRequest(system="", messages=(ChatMessage(role=Role.USER, content="go"),))


async def ask(model: ScriptedModel) -> list[StreamItem]:
    return [item async for item in model.stream(REQUEST)]


async def test_replies_come_in_order_with_their_text_streamed() -> None:
    model = ScriptedModel([says("two words"), calls(("ls", {"path": "."}))])
    *deltas, first = await ask(model)
    second = (await ask(model))[-1]
    assert "".join(delta.text for delta in deltas if isinstance(delta, TextDelta)) == "two words"
    assert isinstance(first, ModelAnswer)
    assert first.text == "two words"
    assert isinstance(second, ModelAnswer)
    assert second.finish_reason is FinishReason.TOOL_CALLS
    assert json.loads(second.tool_calls[0].arguments) == {"path": "."}
    assert model.unused == 0


async def test_an_exhausted_script_names_the_question() -> None:
    model = ScriptedModel([])
    with pytest.raises(AssertionError, match=r"0 replies but was asked 1 times.*go"):
        await ask(model)


async def test_an_error_is_raised_after_its_text() -> None:
    model = ScriptedModel([fails(TransientModelError("cut"), after="half")])
    stream = model.stream(REQUEST)
    assert await anext(stream) == TextDelta("half")
    with pytest.raises(TransientModelError, match="cut"):
        await anext(stream)


async def test_a_hanging_reply_ends_only_when_cancelled() -> None:
    model = ScriptedModel([hangs(after="so far")])
    task = asyncio.create_task(ask(model))
    await asyncio.wait_for(model.answering.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert model.closed == 1
