"""A ToolContext for tests of single tools: a given sandbox and state, progress kept in a list."""

from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue

from shared.contract.state import AgentState
from tests.fakes.fake_sandbox import FakeSandbox
from workflow.service.sandbox.base import Sandbox
from workflow.tool.base import Tool, ToolContext, ToolResult


class FakeToolContext:
    """Makes contexts and keeps what the calls reported."""

    def __init__(
        self,
        sandbox: Sandbox | None = None,
        *,
        state: AgentState | None = None,
        timeout_seconds: float = 605.0,
        max_output_chars: int = 30_000,
    ) -> None:
        self.progress: list[dict[str, Any]] = []
        self._sandbox = sandbox or FakeSandbox()
        self._state = state or AgentState()
        self._timeout_seconds = timeout_seconds
        self._max_output_chars = max_output_chars

    def make(self) -> ToolContext:
        return ToolContext(
            thread_id="thread",
            run_id="run",
            call_id="call",
            state=self._state,
            sandbox=self._give_sandbox,
            progress=self._keep,
            timeout_seconds=self._timeout_seconds,
            max_output_chars=self._max_output_chars,
        )

    async def call(self, tool: Tool[Any], **arguments: JsonValue) -> ToolResult:
        """Run the tool with arguments as a model gives them."""
        return await tool.run(tool.parameters.model_validate(arguments), self.make())

    async def _give_sandbox(self) -> Sandbox:
        return self._sandbox

    async def _keep(self, result: Mapping[str, JsonValue]) -> None:
        self.progress.append(dict(result))


def member(result: ToolResult, name: str) -> dict[str, Any]:
    """Return the one member of the event's result, which must have this name."""
    assert list(result.result) == [name]
    value = result.result[name]
    assert isinstance(value, dict)
    return value
