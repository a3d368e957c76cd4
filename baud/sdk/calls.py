"""The REST interface as data: every request, how its answer is read, and when it may be sent again."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, JsonValue, ValidationError

from baud.sdk.errors import ApiError, BaudClientError
from baud.sdk.health import Health, parse_health
from baud.sdk.responses import error_from, retry_after_seconds
from shared.contract.api import (
    CancelResponse,
    ExecuteRequest,
    ExecuteResponse,
    InitiateRequest,
    InitiateResponse,
    InputRequest,
    OnBusy,
    Page,
    ShareRequest,
    WhyResponse,
)
from shared.contract.message import ChatMessage
from shared.contract.run import ContextItem, RunRecord
from shared.contract.thread import ShareRole, ThreadRecord

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

MAX_TRIES = 4
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 10.0
_REFUSED_FOR_NOW = frozenset({429, 502, 503, 504})  # 502 and 504 come from a proxy whose gateway is away


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request. `is_repeatable`: sending it twice does no more than sending it once."""

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    params: Mapping[str, str | int] = field(default_factory=dict)
    body: BaseModel | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    is_repeatable: bool = True

    def request(self, http: httpx.Client | httpx.AsyncClient, gateway: str) -> httpx.Request:
        """Build the request of this client to a gateway."""
        content = self.body.model_dump_json() if self.body is not None else None
        kind = {"Content-Type": "application/json"} if content is not None else {}
        headers = {**self.headers, **kind}
        return http.build_request(
            self.method, gateway + self.path, params=self.params, content=content, headers=headers
        )

    def pause_after(self, outcome: httpx.Response | httpx.TransportError, tries: int) -> float | None:
        """Return the seconds until the request is sent again; None when it is not."""
        if tries >= MAX_TRIES:
            return None
        pause = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0 ** (tries - 1))
        if isinstance(outcome, httpx.Response):
            wanted = retry_after_seconds(outcome.headers)
            may_repeat = outcome.status_code in _REFUSED_FOR_NOW and wanted <= _LONGEST_PAUSE_SECONDS
            return max(pause, wanted) if may_repeat and self.is_repeatable else None
        never_sent = isinstance(outcome, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
        return pause if never_sent or self.is_repeatable else None


def _path(*parts: str) -> str:
    for part in parts:
        if part in ("", ".", ".."):  # it would change which route this is: that of a share into that of its thread
            raise BaudClientError(f"no id or user can be {part!r}")
    return "/".join(["/api/agent", *(quote(part, safe="") for part in parts)])


def _body_of(model: type[M]) -> Callable[[httpx.Response], M]:
    def read(response: httpx.Response) -> M:
        if not response.is_success:
            raise error_from(response.status_code, response.content)
        try:
            return model.model_validate_json(response.content)
        except ValidationError as error:
            raise ApiError(response.status_code, "not_from_baud", f"the answer is no {model.__name__}") from error

    return read


def _nothing(response: httpx.Response) -> None:
    if not response.is_success:
        raise error_from(response.status_code, response.content)


def _health_of(response: httpx.Response) -> Health:
    found = parse_health(response)
    if found is None:
        raise error_from(response.status_code, response.content)
    return found


def health() -> Call[Health]:
    """GET /health, also when it answers 503."""
    return Call("GET", "/health", _health_of, is_repeatable=False)


def initiate(
    metadata: Mapping[str, JsonValue] | None, context: Mapping[str, JsonValue] | None
) -> Call[InitiateResponse]:
    """POST initiate."""
    body = InitiateRequest(metadata=dict(metadata or {}), context=dict(context or {}))
    return Call("POST", _path("initiate"), _body_of(InitiateResponse), body=body, is_repeatable=False)


def execute(
    thread_id: str,
    task: str,
    *,
    context_data: Sequence[Mapping[str, JsonValue]],
    parameters: Mapping[str, JsonValue] | None,
    on_busy: OnBusy | str,
    idempotency_key: str | None,
) -> Call[ExecuteResponse]:
    """POST execute. It always carries a key, so that sending it again after a lost answer starts nothing twice."""
    body = ExecuteRequest(
        task=task,
        context_data=tuple(ContextItem.model_validate(item) for item in context_data),
        parameters=dict(parameters or {}),
        on_busy=OnBusy(on_busy),
    )
    key = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
    return Call("POST", _path(thread_id, "execute"), _body_of(ExecuteResponse), body=body, headers=key)


def thread(thread_id: str) -> Call[ThreadRecord]:
    """GET one thread."""
    return Call("GET", _path(thread_id), _body_of(ThreadRecord))


def delete(thread_id: str) -> Call[None]:
    """DELETE one thread."""
    return Call("DELETE", _path(thread_id), _nothing)


def share(thread_id: str, user: str, role: ShareRole | str) -> Call[ThreadRecord]:
    """PUT the role of a user."""
    body = ShareRequest(role=ShareRole(role))
    return Call("PUT", _path(thread_id, "shares", user), _body_of(ThreadRecord), body=body)


def unshare(thread_id: str, user: str) -> Call[ThreadRecord]:
    """DELETE the role of a user."""
    return Call("DELETE", _path(thread_id, "shares", user), _body_of(ThreadRecord))


def threads(cursor: str | None, limit: int) -> Call[Page[ThreadRecord]]:
    """GET a page of the threads."""
    return Call("GET", _path("threads"), _body_of(Page[ThreadRecord]), params=_page(cursor, limit))


def messages(thread_id: str, cursor: str | None, limit: int) -> Call[Page[ChatMessage]]:
    """GET a page of the conversation."""
    return Call("GET", _path(thread_id, "messages"), _body_of(Page[ChatMessage]), params=_page(cursor, limit))


def runs(thread_id: str, cursor: str | None, limit: int) -> Call[Page[RunRecord]]:
    """GET a page of a thread's runs."""
    return Call("GET", _path(thread_id, "runs"), _body_of(Page[RunRecord]), params=_page(cursor, limit))


def run(thread_id: str, run_id: str) -> Call[RunRecord]:
    """GET one run."""
    return Call("GET", _path(thread_id, "runs", run_id), _body_of(RunRecord))


def find_run(run_id: str) -> Call[RunRecord]:
    """GET a run whose thread is not known."""
    return Call("GET", _path("runs", run_id), _body_of(RunRecord))


def cancel(thread_id: str, run_id: str) -> Call[CancelResponse]:
    """POST cancel."""
    return Call("POST", _path(thread_id, "runs", run_id, "cancel"), _body_of(CancelResponse))


def why(thread_id: str, run_id: str) -> Call[WhyResponse]:
    """GET what a run is doing."""
    return Call("GET", _path(thread_id, "runs", run_id, "why"), _body_of(WhyResponse))


def send_input(thread_id: str, run_id: str, answer: InputRequest) -> Call[None]:
    """POST the answer to a run that waits."""
    return Call("POST", _path(thread_id, "runs", run_id, "input"), _nothing, body=answer, is_repeatable=False)


def stream_path(thread_id: str, run_id: str | None) -> str:
    """Return the path of a thread's stream, or of one run's."""
    return _path(thread_id, "stream") if run_id is None else _path(thread_id, "runs", run_id, "stream")


def _page(cursor: str | None, limit: int) -> dict[str, str | int]:
    return {"limit": limit} if cursor is None else {"limit": limit, "cursor": cursor}
