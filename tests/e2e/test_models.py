"""Other models than the usual one: the offline model without any key, and a model without native tool calls."""

import json
from typing import Any

import httpx

from shared.contract.result import AssistantDeltaResult, BashResult, SandboxInfo
from tests.e2e.asked import read_requests
from tests.e2e.conftest import MODEL, FreshStack
from tests.e2e.event_log import EndedRun
from tests.fakes.openai_script import Answer
from tests.fakes.openai_server import OpenAIServer


def test_the_offline_model_builds_and_serves_a_page(fresh_stack: FreshStack, openai_server: OpenAIServer) -> None:
    stack = fresh_stack(BAUD_LLM__MODEL="auto", BAUD_LLM__BASE_URL=None, OPENAI_API_KEY=None)
    run = stack.run("Make a small landing page for a tea shop called Three Leaves, and check it")
    assert run.stop_reason == "completed"
    assert openai_server.requests == []
    outputs = [event.result("tool_bash_result") for event in run.of_kind("tool_bash") if event.data.execute_end_at]
    assert any("PAGE_OK" in BashResult.model_validate(output).result for output in outputs)
    (exposed,) = run.of_kind("status_sandbox_info")
    info = SandboxInfo.model_validate(exposed.result("status_sandbox_info"))
    page = httpx.get(info.sandbox_url, trust_env=False)
    assert (page.status_code, "Three Leaves" in page.text) == (200, True)
    assert list(stack.workspace(run.thread_id).rglob("index.html"))
    second = stack.run("Add that we open at nine", thread_id=run.thread_id)
    assert second.stop_reason == "completed"
    page = httpx.get(info.sandbox_url, trust_env=False)
    assert all(words in page.text for words in ("Three Leaves", "open at nine"))


def call(tool: str, **arguments: Any) -> str:
    return f"<tool_call>\n{json.dumps({'name': tool, 'arguments': arguments})}\n</tool_call>"


def shown_text(run: EndedRun) -> str:
    deltas = run.of_kind("assistant_delta")
    return "".join(AssistantDeltaResult.model_validate(event.result("assistant_delta")).text for event in deltas)


def test_a_model_without_native_calls_does_the_same_job(fresh_stack: FreshStack, openai_server: OpenAIServer) -> None:
    write = call("files_creation", files=[{"file_path": "a.txt", "content": "alpha"}])
    openai_server.play(
        [
            Answer(text=f"I plan.\n{call('job_plan', name='n', plan='p')}", piece=5),
            Answer(text=f"{write}\n{call('bash', cmd='cat a.txt; echo')}", piece=3),
            Answer(text='<tool_call>{"name": "bash", "arguments": {"cmd": </tool_call>', piece=4),
            Answer(text="All is written.", piece=2),
        ]
    )
    stack = fresh_stack(BAUD_LLM__MODEL=MODEL, BAUD_LLM__NATIVE_TOOL_CALLING="false")
    run = stack.run("Write a.txt")
    assert run.stop_reason == "completed"
    assert [kind for kind, _ in run.steps()] == [
        "user_message", "assistant_response", "tool_job_plan", "tool_job_plan", "tool_files_creation",
        "tool_files_creation", "tool_bash", "tool_bash", "tool_bash", "tool_bash", "assistant_response",
        "flow_completion",
    ]  # fmt: skip
    assert (stack.workspace(run.thread_id) / "a.txt").read_text() == "alpha"
    assert "tool_call" not in shown_text(run)
    asked = read_requests(openai_server.requests)
    assert all(not request.tools and "<tool_call>" in request.system for request in asked)
    assert "## bash" not in asked[0].system
    assert "## bash" in asked[1].system
    assert asked[-1].roles == ["system", "user", "assistant", "user", "assistant", "user", "assistant", "user"]
    assert [message.text.count("<tool_result") for message in asked[-1].messages[3::2]] == [1, 2, 1]
    assert "alpha" in asked[-1].messages[5].text
    assert "not valid JSON" in asked[-1].messages[7].text
