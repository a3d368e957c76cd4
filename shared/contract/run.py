"""The record of a run: one task of a user and its outcome."""

from enum import StrEnum

from pydantic import ConfigDict, Field, JsonValue

from shared.contract.base import Contract


class RunStatus(StrEnum):
    """The status of a run."""

    PENDING = "pending"  # stored, no worker has claimed it
    PROCESSING = "processing"  # a worker owns it
    WAITING = "waiting"  # needs a person; no worker owns it
    COMPLETED = "completed"  # ended well
    FAILED = "failed"  # ended with an error or at a limit
    CANCELLED = "cancelled"  # ended because somebody asked

    @property
    def is_terminal(self) -> bool:
        """Whether the run has ended and can never change again."""
        return self in (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED)


class StopReason(StrEnum):
    """Why a run ended; part of its `flow_completion`."""

    COMPLETED = "completed"  # the agent says that the task is done
    WAITING_INPUT = "waiting_input"  # reserved: a run that asks waits, and goes on with a default answer
    CANCELLED = "cancelled"  # a cancel request
    MAX_STEPS = "max_steps"  # agent.max_steps reached
    MAX_TOKENS = "max_tokens"  # agent.max_tokens reached
    MAX_COST = "max_cost"  # agent.max_cost_usd reached
    MAX_DURATION = "max_duration"  # agent.max_duration reached
    LLM_ERROR = "llm_error"  # the model's provider failed for good
    SANDBOX_ERROR = "sandbox_error"  # no sandbox could be had
    REFUSED = "refused"  # the model declined the task
    POISON = "poison"  # the run crashed its worker several times in a row
    STUCK = "stuck"  # the agent repeats itself, or answers nothing usable
    INTERNAL_ERROR = "internal_error"  # a fault of Baud


class Usage(Contract):
    """What a run has used so far; every model call counts."""

    steps: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost_usd: float = 0.0

    def plus(self, other: "Usage") -> "Usage":
        """Return the sum of both."""
        return Usage(
            steps=self.steps + other.steps,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            cost_usd=self.cost_usd + other.cost_usd,
        )


class ContextItem(Contract):
    """One piece of context that a client sends with a task; other members are kept."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str
    content: JsonValue = None


class QuestionKind(StrEnum):
    """What a waiting run needs of a person."""

    ASK_USER = "ask_user"  # an answer
    APPROVAL = "approval"  # approval of a tool call


class Question(Contract):
    """What a run waits for; after `expires_at` (ISO 8601 UTC) it goes on with the configured default."""

    kind: QuestionKind
    call_id: str
    question: str
    options: tuple[str, ...] = ()
    expires_at: str | None = None


class Decision(StrEnum):
    """The decision of a person on a tool call."""

    APPROVE = "approve"  # make it, with other arguments if they are given
    DENY = "deny"  # do not make it


class Answer(Contract):
    """The answer of a person to a question."""

    call_id: str
    text: str = ""
    decision: Decision | None = None
    arguments: dict[str, JsonValue] | None = None


class RunRecord(Contract):
    """What is stored under `thread:{thread_id}:run:{run_id}`; times are ISO 8601 UTC.

    `after_crash`: the worker before was lost with the claimed run; the run was not handed over.
    A legacy run names the second stream of its events, and the channel of that stream's readers.
    """

    run_id: str
    thread_id: str
    status: RunStatus = RunStatus.PENDING
    task: str
    context_data: tuple[ContextItem, ...] = ()
    parameters: dict[str, JsonValue] = Field(default_factory=dict)
    user_uuid: str | None = None
    legacy_stream: str | None = None
    legacy_bell: str | None = None
    created_at: str
    started_at: str | None = None
    ended_at: str | None = None
    claimed_at: str | None = None
    attempts: int = 0
    crashes: int = 0
    after_crash: bool = False
    cancel_requested_at: str | None = None
    waiting: Question | None = None
    answer: Answer | None = None
    last_answer: Answer | None = None
    waited_ms: int = 0
    owner: str | None = None
    token: int = 0
    usage: Usage = Usage()
    stop_reason: StopReason | None = None
    message: str | None = None
    completion_id: str | None = None
    unreadable: tuple[str, ...] | None = None  # never stored: names of members that cannot be read


class RunJob(Contract):
    """The Celery message `modem.execute_run(thread_id, run_id)`: a hint that a run can be claimed."""

    thread_id: str
    run_id: str
