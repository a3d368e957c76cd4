"""The offline model decides from the conversation alone, and reports the results of its checks."""

import pytest

from shared.config import LLMConfig
from shared.contract.message import ChatMessage, Role
from workflow.llm.factory import build_model
from workflow.llm.model import FinishReason, ModelAnswer, ModelRequest, TextDelta, ToolSpec
from workflow.llm.offline.conversation import slug_of

PLANNING = ("job_plan", "ask_user")
EXECUTION = (
    "job_plan", "ask_user", "bash", "file_read", "file_edit", "files_creation",
    "use_template", "todo_write", "suggest_next_steps", "url_expose",
)  # fmt: skip
GOOD = {"check": "WORDS_FOUND", "port": "PORT=2345", "fetch": "PAGE_OK", "expose": "at http://127.0.0.1:2345/"}


async def play(task: str, replies: dict[str, str], tools: tuple[str, ...] = EXECUTION) -> tuple[list[str], str]:
    """Return the steps that were taken, by the names in the call ids, and the last text."""
    model = build_model(LLMConfig(model="offline/demo"), {})
    messages = [ChatMessage(role=Role.USER, content=task)]
    on_offer = tuple(name for name in PLANNING if name in tools)
    steps: list[str] = []
    while True:
        specs = tuple(ToolSpec(name, "", {"type": "object", "properties": {}}) for name in on_offer)
        answer = [item async for item in model.stream(ModelRequest("", tuple(messages), specs))][-1]
        assert isinstance(answer, ModelAnswer)
        messages.append(ChatMessage(role=Role.ASSISTANT, content=answer.text, tool_calls=answer.tool_calls))
        if not answer.tool_calls:
            return steps, answer.text
        (call,) = answer.tool_calls
        steps.append(call.call_id.split("-")[1])
        result = replies.get(steps[-1], "done")
        messages.append(ChatMessage(role=Role.TOOL, content=result, tool_call_id=call.call_id))
        on_offer = tools if call.name == "job_plan" else on_offer


async def test_a_job_goes_from_plan_to_summary() -> None:
    steps, text = await play("Build a page about bees", GOOD)
    assert steps == [
        "plan", "todos", "template", "write", "check", "port", "serve", "fetch", "expose", "todos_done", "next",
    ]  # fmt: skip
    assert "http://127.0.0.1:2345/" in text
    assert "offline model" in text


async def test_a_failed_check_brings_one_other_try() -> None:
    steps, text = await play("Build a page", {**GOOD, "check": "0", "check_again": "0\nExit code: 1"})
    assert steps.count("rewrite") == 1
    assert "I could not write" in text


async def test_a_server_that_does_not_answer_is_admitted() -> None:
    steps, text = await play("Build a page", {**GOOD, "fetch": "no answer", "fetch_again": "no answer at all"})
    assert "serve_again" in steps
    assert "expose" not in steps
    assert "todos_done" not in steps
    assert "no answer at all" in text


async def test_an_api_falls_back_to_a_page_where_fastapi_is_missing() -> None:
    steps, text = await play("Build an API for bees", {**GOOD, "probe": "No module named 'fastapi'"})
    assert "write" in steps
    assert "FastAPI is not installed" in text


@pytest.mark.parametrize("task", ["What is this?", "hello", "How do I set a key?", " "])
async def test_a_question_is_answered_at_once(task: str) -> None:
    steps, text = await play(task, GOOD)
    assert steps == []
    assert "ANTHROPIC_API_KEY" in text


async def test_a_request_without_tools_is_answered_in_text() -> None:
    steps, text = await play("Build a page about bees", GOOD, tools=())
    assert steps == []
    assert "Build a page about bees" in text


async def test_the_text_streams_in_pieces_and_words_are_counted() -> None:
    model = build_model(LLMConfig(model="offline/demo"), {})
    request = ModelRequest("one two", (ChatMessage(role=Role.USER, content="hello there"),))
    *deltas, answer = [item async for item in model.stream(request)]
    assert isinstance(answer, ModelAnswer)
    assert len(deltas) > 10
    assert "".join(delta.text for delta in deltas if isinstance(delta, TextDelta)) == answer.text
    assert answer.finish_reason is FinishReason.STOP
    assert answer.usage.input_tokens == 4
    assert answer.usage.output_tokens == len(answer.text.split())
    assert answer.usage.cost_usd == 0.0


async def test_context_blocks_before_the_task_are_not_the_task() -> None:
    _, text = await play('<context>\n{"a": 1}\n</context>\n\nBuild a page about bees', GOOD)
    assert "for: Build a page about bees" in text


@pytest.mark.parametrize(
    ("task", "slug"),
    [
        ("Build a page about red pandas", "red-pandas"),
        ("Make me a website", "site"),
        ("42 reasons", "site-42-reasons"),
        ("日本のページ", "site"),
        ("x" * 80, "x" * 30),
    ],
)
def test_the_folder_is_named_after_the_task(task: str, slug: str) -> None:
    assert slug_of(task) == slug
