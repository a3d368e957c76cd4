"""For tests of takeovers: attempts that begin with the writes of earlier ones, and the effects of their tools."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.contract.run import Usage
from shared.contract.state import AgentState
from tests.fakes.fake_run_log import Commit
from tests.fakes.scripted_model import Script
from tests.fakes.scripted_tool import ChangeTool, LookTool, ScriptedParameters
from tests.unit.workflow.runner.scene import Scene, registry_with
from workflow.tool.base import Effect, ToolContext, ToolResult
from workflow.tool.registry import ToolRegistry

# Beginning of the result of a call whose effect is unknown.
UNKNOWN = "The worker was replaced while this call ran"


class PutTool(LookTool):
    """Changes something, and may be done twice."""

    name = "put"
    description = "Puts."
    effect = Effect(read_only=False, idempotent=True, destructive=False)


@dataclass
class Effects:
    """The call ids that the tools of all attempts ran, in order."""

    done: list[str] = field(default_factory=list)

    async def do(self, params: ScriptedParameters, context: ToolContext) -> ToolResult:
        self.done.append(context.call_id)
        return ToolResult(f"number {params.number}")

    def registry(self) -> ToolRegistry:
        return registry_with(LookTool(self.do), ChangeTool(self.do), PutTool(self.do))


def go_on(
    commits: Sequence[Commit],
    script: Sequence[Script],
    effects: Effects,
    *,
    run_id: str = "r1",
    attempts: int = 2,
    after_crash: bool = False,
) -> Scene:
    """Return an attempt that begins with what these commits wrote."""
    states = [commit.state for commit in commits if commit.state is not None]
    usages = [commit.usage for commit in commits if commit.usage is not None]
    return Scene(
        script,
        registry=effects.registry(),
        messages=[message for commit in commits for message in commit.messages],
        state=states[-1] if states else AgentState(),
        usage=usages[-1] if usages and run_id == "r1" else Usage(),
        run_id=run_id,
        attempts=attempts,
        after_crash=after_crash,
    )
