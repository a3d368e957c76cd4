"""The Tool port: a parameter model, declared effects, one async function."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, JsonValue

from shared.contract.state import AgentState
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

    Calls that only read run side by side; with `concurrent`, adjacent calls of this tool do too. With `takes_mask`
    the arguments may hold the mask of a secret: they are not run or written to a file.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    parameters: ClassVar[type[Parameters]]
    effect: ClassVar[Effect]
    concurrent: ClassVar[bool] = False
    takes_mask: ClassVar[bool] = False
    timeout_seconds: ClassVar[float] = 60.0
    max_output_chars: ClassVar[int] = 30_000

    @abstractmethod
    async def run(self, params: P, context: ToolContext) -> ToolResult:
        """Run the tool. The executor applies the time limit and cuts `text` to the output limit."""
