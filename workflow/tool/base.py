"""The Tool port: a parameter model, declared effects, one async function."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, JsonValue

from shared.contract.state import AgentState, Phase
from workflow.service.sandbox.base import Sandbox


class Parameters(BaseModel):
    """Base of a tool's parameters; an unknown argument is an error that the model reads."""

    model_config = ConfigDict(frozen=True, extra="forbid")


P = TypeVar("P", bound=Parameters)


@dataclass(frozen=True, slots=True)
class Effect:
    """What a call may do to the world; decides approval and what happens after a lost worker."""

    read_only: bool
    idempotent: bool
    destructive: bool
    open_world: bool = False


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The result of a call. `text` is for the model, `result` the one member for the event.

    `execute_type` is given only where it is not `tool_{name}`; `state` only when the call changed it.
    """

    text: str
    result: Mapping[str, JsonValue] = field(default_factory=dict)
    is_error: bool = False
    execute_type: str | None = None
    state: Callable[[AgentState], AgentState] | None = None


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a call may use. `sandbox()` starts the sandbox on first use.

    `progress(result)` sends a `processing` event with the same kind of member as the result.
    """

    thread_id: str
    run_id: str
    call_id: str
    state: AgentState
    sandbox: Callable[[], Awaitable[Sandbox]]
    progress: Callable[[Mapping[str, JsonValue]], Awaitable[None]]
    timeout_seconds: float
    max_output_chars: int
    options: Mapping[str, str | int | float | bool] = field(default_factory=dict)


class Tool(ABC, Generic[P]):
    """One thing the model can do. Raise ToolError for a failure that the model should read.

    The class variables are all that the engine knows of a tool: no list of names stands beside them.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    parameters: ClassVar[type[Parameters]]
    effect: ClassVar[Effect]
    # From which phase on it is offered, and whether its change of state begins the execution: without a tool that
    # does, there is no planning, and all tools are offered from the start.
    phase: ClassVar[Phase] = Phase.EXECUTION
    ends_planning: ClassVar[bool] = False
    # A call changes the meaning of the rest of its turn, so it must be the only one; the others are refused.
    exclusive: ClassVar[bool] = False
    # Adjacent calls of it run side by side, as those of all tools that only read do.
    concurrent: ClassVar[bool] = False
    # Its result is a question (`interrupt_result`); the run waits for the answer, which becomes the result.
    asks_user: ClassVar[bool] = False
    # Its arguments may hold the mask of a secret: they are not run or written to a file.
    takes_mask: ClassVar[bool] = False
    # A call may depend on the thread's files or leave some, or processes that go on after it: what the model is
    # told when its run continues on another worker.
    uses_workspace: ClassVar[bool] = False
    keeps_processes: ClassVar[bool] = False
    # The field of its result that `progress` sends in pieces: what one call sends of it is limited.
    streamed_field: ClassVar[str] = ""
    timeout_seconds: ClassVar[float] = 60.0
    max_output_chars: ClassVar[int] = 30_000

    @abstractmethod
    async def run(self, params: P, context: ToolContext) -> ToolResult:
        """Run the tool. The executor applies the time limit and cuts `text` to the output limit."""
