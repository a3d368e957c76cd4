"""The state of an agent beside its conversation: phase, plan, todo list. Saved after every step."""

from enum import StrEnum

from shared.contract.base import Contract


class Phase(StrEnum):
    """What the agent is doing."""

    PLANNING = "planning"  # may plan, ask back, or answer at once
    EXECUTION = "execution"  # works with all tools


class Plan(Contract):
    """The plan that the model made with `job_plan`."""

    name: str
    plan: str


class TodoStatus(StrEnum):
    """How far one item is."""

    PENDING = "pending"  # not begun
    IN_PROGRESS = "in_progress"  # being worked on
    COMPLETED = "completed"  # done


class TodoPriority(StrEnum):
    """How much one item matters."""

    LOW = "low"  # may wait
    MEDIUM = "medium"  # the usual
    HIGH = "high"  # first


class Todo(Contract):
    """One item of the agent's list."""

    id: str
    content: str
    status: TodoStatus = TodoStatus.PENDING
    priority: TodoPriority = TodoPriority.MEDIUM


class CallInFlight(Contract):
    """A tool call whose `init` is written and whose end is not; `uuid` and `began_at` are its events'.

    `workers_lost` counts the workers that died while it was in flight.
    """

    call_id: str
    name: str = ""
    uuid: str
    began_at: str
    workers_lost: int = 0


class AgentState(Contract):
    """The state of a thread's agent; with the conversation it is enough to resume.

    `workspace_disk` names the disk that last held the files; empty before the first use of a sandbox, or unknown.
    """

    phase: Phase = Phase.PLANNING
    plan: Plan | None = None
    todos: tuple[Todo, ...] = ()
    in_flight: tuple[CallInFlight, ...] = ()
    workspace_disk: str = ""
