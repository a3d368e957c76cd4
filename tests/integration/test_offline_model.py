"""The offline model does a complete job with the real tools in a real sandbox, and reports it truthfully."""

import os
import sys
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urljoin

import pytest

from shared.config import IsolationKind, LLMConfig, SandboxConfig, ToolConfig
from shared.contract.message import ChatMessage, Role
from shared.contract.state import AgentState, Phase
from workflow.llm.factory import build_model
from workflow.llm.model import ModelAnswer, ModelRequest
from workflow.service.sandbox.base import Sandbox
from workflow.service.sandbox.local_provider import LocalProvider
from workflow.tool.base import ToolContext, ToolResult
from workflow.tool.executor import execute_call
from workflow.tool.registry import RegisteredTool, ToolRegistry

MAX_STEPS = 40


class Thread:
    """A thread without a server: the model, the tools and one sandbox, the conversation kept in a list."""

    def __init__(self, sandbox: Sandbox, tools: dict[str, ToolConfig]) -> None:
        self.model = build_model(LLMConfig(model="offline/demo"), {})
        self.registry = ToolRegistry.from_config(tools, plugins=())
        self.sandbox = sandbox
        self.state = AgentState()
        self.messages: list[ChatMessage] = []
        self.calls: list[str] = []
        self.results: dict[str, ToolResult] = {}

    async def give(self, task: str) -> str:
        """Execute a task and return the last text."""
        self.state = self.state.model_copy(update={"phase": Phase.PLANNING})
        self.messages.append(ChatMessage(role=Role.USER, content=task))
        for _ in range(MAX_STEPS):
            answer = await self._ask()
            self.messages.append(ChatMessage(role=Role.ASSISTANT, content=answer.text, tool_calls=answer.tool_calls))
            if not answer.tool_calls:
                return answer.text
            for call in answer.tool_calls:
                result = await execute_call(self.registry, call, self.state.phase, self._context)
                self.calls.append(call.name)
                self.results[call.name] = result
                self.state = result.state(self.state) if result.state else self.state
                self.messages.append(ChatMessage(role=Role.TOOL, content=result.text, tool_call_id=call.call_id))
        raise AssertionError(f"the offline model did not come to an end: {self.calls}")

    def address(self) -> str:
        """Return the address that url_expose gave."""
        info = self.results["url_expose"].result["status_sandbox_info"]
        assert isinstance(info, dict)
        return str(info["sandbox_url"])

    async def _ask(self) -> ModelAnswer:
        request = ModelRequest("You are an agent.", tuple(self.messages), self.registry.specs(self.state.phase))
        items = [item async for item in self.model.stream(request)]
        answer = items[-1]
        assert isinstance(answer, ModelAnswer)
        return answer

    def _context(self, tool: RegisteredTool) -> ToolContext:
        async def sandbox() -> Sandbox:
            return self.sandbox

        async def progress(_result: object) -> None:
            return None

        return ToolContext(
            thread_id="t",
            run_id="r",
            call_id="c",
            state=self.state,
            sandbox=sandbox,
            progress=progress,
            timeout_seconds=tool.timeout_seconds,
            max_output_chars=tool.max_output_chars,
        )


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    config = SandboxConfig(isolation=IsolationKind.PROCESS, env_allow=("PATH",))
    # The interpreter of the tests comes first: it has FastAPI.
    env = {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    provider = LocalProvider(config, tmp_path, is_production=False, env=env)
    opened = await provider.create("t")
    yield opened
    await opened.close()


def open_url(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as response:
        text: str = response.read().decode()
    return text


async def test_a_page_is_made_served_and_checked(sandbox: Sandbox) -> None:
    thread = Thread(sandbox, {})
    text = await thread.give("Build a page about red pandas & <bees>")
    assert "offline model" in text
    assert "I checked that the words are there" in text
    page = open_url(thread.address())
    assert "red pandas &amp; &lt;bees&gt;" in page
    assert "<bees>" not in page
    assert thread.state.plan is not None
    assert {todo.status for todo in thread.state.todos} == {"completed"}
    assert thread.calls[0] == "job_plan"
    assert thread.calls[-1] == "suggest_next_steps"


async def test_a_second_task_goes_on_with_the_page(sandbox: Sandbox) -> None:
    thread = Thread(sandbox, {})
    await thread.give("Build a page about red pandas")
    thread.calls.clear()
    text = await thread.give("Add that they eat bamboo")
    assert "file_edit" in thread.calls
    assert "use_template" not in thread.calls
    assert "I checked that the words are there" in text
    page = (await sandbox.read_file("red-pandas/index.html")).decode()
    assert "Build a page about red pandas" in page
    assert "Add that they eat bamboo" in page


async def test_an_api_is_made_where_fastapi_is_installed(sandbox: Sandbox) -> None:
    thread = Thread(sandbox, {})
    text = await thread.give("Create a FastAPI service that tells train times")
    assert "I checked that the words are there" in text
    notes_url = urljoin(thread.address(), "/notes")
    assert "train times" in open_url(notes_url)
    await thread.give("Say that it also knows delays")
    assert "delays" in open_url(notes_url)


async def test_a_failed_write_is_tried_another_way_and_reported(sandbox: Sandbox) -> None:
    thread = Thread(sandbox, {"files_creation": ToolConfig(timeout=1e-6)})
    text = await thread.give("Build a page about red pandas")
    assert "the first try to write them failed, the second worked" in text
    assert "I checked that the words are there" in text


async def test_without_bash_nothing_is_claimed(sandbox: Sandbox) -> None:
    thread = Thread(sandbox, {"bash": ToolConfig(enabled=False)})
    text = await thread.give("Build a page about red pandas")
    assert "could not check it" in text
    assert "did not start a server" in text


async def test_a_question_is_answered_without_any_tool(sandbox: Sandbox) -> None:
    thread = Thread(sandbox, {})
    assert "ANTHROPIC_API_KEY" in await thread.give("What is the capital of France?")
    assert thread.calls == []
