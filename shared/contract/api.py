"""Bodies of the REST interface: what clients send and what they are answered."""

from enum import StrEnum
from typing import Annotated, Any, Final, Generic, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, FailFast, Field, JsonValue, model_validator
from pydantic_core import PydanticSerializationError

from shared.contract.base import Contract
from shared.contract.json_text import check_json_size
from shared.contract.principal import MAX_USER_CHARS, Scope
from shared.contract.run import ContextItem, Decision, RunStatus, Usage
from shared.contract.thread import ShareRole, ThreadStatus

T = TypeVar("T")

_MAX_MEMBERS: Final = 32  # of a body itself; what it nests may have any number

# What a task's `parameters` may lower: steps, seconds, tokens, US dollars.
RUN_LIMITS: Final = frozenset({"max_steps", "max_duration", "max_tokens", "max_cost_usd"})


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    return text


class OnBusy(StrEnum):
    """What happens to a task while another run of the thread is active."""

    QUEUE = "queue"  # it waits in the queue
    STEER = "steer"  # its text reaches the active run at its next step
    INTERRUPT = "interrupt"  # the active run is cancelled first
    REJECT = "reject"  # it is refused with 409


class RequestBody(BaseModel):
    """Base of what clients send: an unknown member is refused, so that a typo is not lost."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _has_few_members(cls, data: Any) -> Any:
        # Each unknown member is a validation error of its own, and a hundred thousand of them take seconds to report.
        if isinstance(data, dict) and len(data) > _MAX_MEMBERS:
            raise ValueError(f"has {len(data)} members, more than any request")
        return data

    @model_validator(mode="after")
    def _can_be_stored(self) -> Self:
        try:
            check_json_size(self.model_dump_json())
        except PydanticSerializationError as error:
            raise ValueError("holds half a character (a lone surrogate); send valid Unicode") from error
        return self


class InitiateRequest(RequestBody):
    """POST /api/agent/initiate."""

    metadata: dict[str, JsonValue] = Field(default_factory=dict)
    context: dict[str, JsonValue] = Field(default_factory=dict)
    user_uuid: str | None = Field(None, min_length=1, max_length=MAX_USER_CHARS)  # whose thread, by who may act for it


class ShareRequest(RequestBody):
    """PUT /api/agent/{thread_id}/shares/{user}."""

    role: ShareRole


class ApiKeyRequest(RequestBody):
    """POST /api/keys."""

    scopes: tuple[Scope, ...] = Field(min_length=1, max_length=16)
    user_uuid: str | None = Field(None, min_length=1, max_length=MAX_USER_CHARS)  # absent: who asks
    name: str = Field("", max_length=200)
    expires_in: int | None = Field(None, ge=60, le=10 * 366 * 86_400)  # seconds; absent: it does not expire


class ApiKeyView(Contract):
    """An API key without its text, which begins with `prefix`; times are ISO 8601 UTC."""

    id: str
    user_uuid: str
    prefix: str
    name: str
    scopes: tuple[Scope, ...]
    created_at: str
    expires_at: str | None = None
    last_used_at: str | None = None
    revoked_at: str | None = None


class NewApiKeyView(ApiKeyView):
    """A new API key; nobody can read `key` again."""

    key: str


class ApiKeyList(Contract):
    """API keys of a tenant, newest first."""

    items: tuple[ApiKeyView, ...]


class StreamTicketRequest(RequestBody):
    """POST /api/stream-tickets."""

    thread_id: str
    user_uuid: str | None = Field(None, min_length=1, max_length=MAX_USER_CHARS)  # whose page, by who may act for it


class StreamTicketResponse(Contract):
    """The query parameter `ticket` of the thread's streams; it has to be used before `expires_at`, then it lives on."""

    ticket: str
    expires_at: str


class InitiateResponse(Contract):
    """The new thread."""

    thread_id: str
    created_at: str
    status: ThreadStatus


def _with_limits(parameters: dict[str, JsonValue]) -> dict[str, JsonValue]:
    for name in RUN_LIMITS.intersection(parameters):
        value = parameters[name]
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise ValueError(f"{name} must be a number above 0; leave it out for the configured limit")
    return parameters


class ExecuteRequest(RequestBody):
    """POST /api/agent/{thread_id}/execute. `parameters` may lower the run's limits; other members are free."""

    task: Annotated[str, AfterValidator(_not_blank)]
    context_data: Annotated[tuple[ContextItem, ...], FailFast()] = ()
    parameters: Annotated[dict[str, JsonValue], AfterValidator(_with_limits)] = Field(default_factory=dict)
    user_uuid: str | None = None
    on_busy: OnBusy = OnBusy.QUEUE


class ExecuteResponse(Contract):
    """The new run; `pending` when it is queued after another."""

    thread_id: str
    run_id: str
    status: RunStatus
    created_at: str


class InputRequest(RequestBody):
    """POST …/input: `answer` to a question; `decision` on a tool call, with other `arguments` if they should be."""

    answer: str = ""
    decision: Decision | None = None
    arguments: dict[str, JsonValue] | None = None
    call_id: str | None = None


class InputResponse(Contract):
    """The run after its answer was taken."""

    thread_id: str
    run_id: str
    status: RunStatus


class CancelResponse(Contract):
    """The run after a cancel request; `processing` until its worker has stopped it."""

    thread_id: str
    run_id: str
    status: RunStatus


class WhatNext(Contract):
    """What happens by itself, and when; `at` is absent where it depends on somebody."""

    what: str
    at: str | None = None


class WhyResponse(Contract):
    """What a run is doing or waiting for; times are ISO 8601 UTC."""

    thread_id: str
    run_id: str
    status: RunStatus
    doing: str
    since: str | None = None
    last_progress_at: str | None = None
    owner: str | None = None
    is_owner_alive: bool = False
    attempts: int = 0
    crashes: int = 0
    usage: Usage
    next: WhatNext


class Page(Contract, Generic[T]):
    """One page of a list; `next_cursor` is absent on the last."""

    items: tuple[T, ...]
    next_cursor: str | None = None


class ErrorResponse(Contract):
    """Every error: a sentence for a person, a code for a program, an id for the log."""

    detail: str
    code: str
    request_id: str
