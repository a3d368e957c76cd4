"""Tools for models without native calling: described in the prompt, parsed out of text cut anywhere."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contract.message import ChatMessage, Role, ToolCall
from shared.contract.run import Usage
from tests.fakes.scripted_model import Reply, ScriptedModel
from workflow.llm.model import (
    DeltaKind,
    FinishReason,
    ModelAnswer,
    ModelRequest,
    StreamItem,
    StreamRestarted,
    TextDelta,
    ToolSpec,
)
from workflow.llm.text_tool_parser import MAX_BLOCK_CHARS, TextToolParser
from workflow.llm.text_tools import TextToolsModel

LS = ToolSpec("ls", "List a folder.", {"type": "object", "properties": {"path": {"type": "string"}}})
TWO_CALLS = (
    'First <b>this</b>.\n<tool_call>\n{"name": "ls", "arguments": {"path": "<tool"}}\n</tool_call>\n'
    'Then\n<tool_call>{"name": "bash", "arguments": "{\\"cmd\\": \\"pwd\\"}"}</tool_call>\n'
)


def pieces(text: str, *cuts: int) -> tuple[TextDelta, ...]:
    ends = [0, *sorted(cuts), len(text)]
    return tuple(TextDelta(text[start:end]) for start, end in pairwise(ends))


async def run(*items: StreamItem, reason: FinishReason = FinishReason.STOP) -> tuple[list[StreamItem], ModelAnswer]:
    text = "".join(item.text for item in items if isinstance(item, TextDelta))
    inner = ScriptedModel([Reply(deltas=items, answer=ModelAnswer(text, (), reason, Usage(output_tokens=3)))])
    request = ModelRequest("", (ChatMessage(role=Role.USER, content="go"),), (LS,))
    *rest, answer = [item async for item in TextToolsModel(inner).stream(request)]
    assert isinstance(answer, ModelAnswer)
    return rest, answer


def shown(items: list[StreamItem]) -> str:
    return "".join(item.text for item in items if isinstance(item, TextDelta))


async def test_several_calls_are_parsed_and_never_shown() -> None:
    items, answer = await run(*pieces(TWO_CALLS))
    assert [(call.name, json.loads(call.arguments)) for call in answer.tool_calls] == [
        ("ls", {"path": "<tool"}),
        ("bash", {"cmd": "pwd"}),
    ]
    assert "tool_call" not in shown(items)
    assert answer.text == "First <b>this</b>.\n\nThen"
    assert answer.finish_reason is FinishReason.TOOL_CALLS
    assert answer.usage.output_tokens == 3
    assert len({call.call_id for call in answer.tool_calls}) == 2


@given(st.lists(st.integers(min_value=0, max_value=len(TWO_CALLS)), max_size=30))
def test_cuts_in_the_stream_change_nothing(cuts: list[int]) -> None:
    parser = TextToolParser()
    shown_text = "".join(parser.feed(piece.text) for piece in pieces(TWO_CALLS, *cuts)) + parser.finish()
    assert shown_text == parser.text == "First <b>this</b>.\n\nThen\n\n"
    assert [json.loads(block)["name"] for block in parser.blocks] == ["ls", "bash"]


@given(st.text(alphabet="<tol_ca>/ x", max_size=60), st.integers(min_value=0, max_value=60))
def test_text_without_a_complete_tag_is_shown_complete(text: str, cut: int) -> None:
    parser = TextToolParser()
    if "<tool_call>" in text:
        return
    assert parser.feed(text[:cut]) + parser.feed(text[cut:]) + parser.finish() == text


async def test_text_is_shown_as_soon_as_no_tag_can_follow() -> None:
    parser = TextToolParser()
    assert parser.feed("a < b, c <to") == "a < b, c "
    assert parser.feed("ol>") == "<tool>"


@pytest.mark.parametrize(
    ("block", "name"),
    [
        ('{"name": "ls", "arguments": {"path": ', "ls"),
        ("ls .", "unreadable_tool_call"),
        ("[1]", "unreadable_tool_call"),
    ],
    ids=["cut off", "no JSON", "no object"],
)
async def test_broken_json_becomes_a_call_for_the_executor_to_refuse(block: str, name: str) -> None:
    _, answer = await run(*pieces(f"<tool_call>{block}</tool_call>"))
    (call,) = answer.tool_calls
    assert (call.name, call.arguments) == (name, block.strip())


async def test_a_block_that_was_never_closed_is_still_a_call() -> None:
    items, answer = await run(*pieces('Go <tool_call>{"name": "ls", "arguments": {}}'))
    assert [call.name for call in answer.tool_calls] == ["ls"]
    assert shown(items) == "Go "


async def test_an_answer_cut_at_its_length_keeps_its_reason() -> None:
    _, answer = await run(*pieces("<tool_call>{"), reason=FinishReason.LENGTH)
    assert answer.finish_reason is FinishReason.LENGTH


async def test_reasoning_is_passed_on_unparsed() -> None:
    thought = TextDelta("<tool_call>", DeltaKind.REASONING)
    items, _ = await run(thought)
    assert items == [thought]


async def test_a_restart_forgets_the_half_block_before_it() -> None:
    items, answer = await run(TextDelta("x<tool_call>{"), StreamRestarted(2, "cut"), TextDelta("plain"))
    assert items == [TextDelta("x"), StreamRestarted(2, "cut"), TextDelta("plain")]
    assert answer.tool_calls == ()


async def test_the_conversation_goes_in_as_plain_text() -> None:
    calls = (
        ToolCall(call_id="c1", name="ls", arguments='{"path": "."}'),
        ToolCall(call_id="c2", name="ls", arguments="{"),
    )
    messages = (
        ChatMessage(role=Role.USER, content="go"),
        ChatMessage(role=Role.ASSISTANT, content="I look.", tool_calls=calls),
        ChatMessage(role=Role.TOOL, content="a.txt", tool_call_id="c1"),
        ChatMessage(role=Role.TOOL, content="error", tool_call_id="c2"),
    )
    inner = ScriptedModel([Reply(answer=ModelAnswer("", (), FinishReason.STOP, Usage()))])
    async for _ in TextToolsModel(inner).stream(ModelRequest("Be brief.", messages, (LS,))):
        pass
    (request,) = inner.requests
    assert request.tools == ()
    assert request.system.startswith("Be brief.")
    assert "## ls\nList a folder." in request.system
    assert [message.role for message in request.messages] == [Role.USER, Role.ASSISTANT, Role.USER]
    assert (
        '<tool_call>\n{"name": "ls", "arguments": {"path": "."}, "id": "c1"}\n</tool_call>'
        in request.messages[1].text()
    )
    assert request.messages[2].text() == (
        '<tool_result id="c1">\na.txt\n</tool_result>\n<tool_result id="c2">\nerror\n</tool_result>'
    )


async def test_without_tools_the_prompt_stays_as_it_is() -> None:
    inner = ScriptedModel([Reply(answer=ModelAnswer("", (), FinishReason.STOP, Usage()))])
    async for _ in TextToolsModel(inner).stream(ModelRequest("Be brief.", ())):
        pass
    assert inner.requests[0].system == "Be brief."


def test_each_character_of_a_long_block_is_read_once() -> None:
    parser = TextToolParser()
    parser.feed("<tool_call>")
    for _ in range(250_000):
        parser.feed("abcd")
    parser.feed("</tool_call>")
    assert [len(block) for block in parser.blocks] == [1_000_000]


def test_a_block_without_end_is_cut_and_no_call_is_made_of_it() -> None:
    parser = TextToolParser()
    parser.feed('<tool_call>{"name": "bash", "arguments": "')
    for _ in range(100):
        parser.feed("x" * 1_000_000)
    parser.finish()
    assert [len(block) for block in parser.blocks] == [MAX_BLOCK_CHARS]
