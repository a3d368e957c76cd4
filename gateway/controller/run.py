"""Routes of runs: a task is posted, runs are listed and read."""

from fastapi import APIRouter

from gateway.controller.dependencies import (
    Cursor,
    IdempotencyKey,
    Limit,
    PrincipalDep,
    ReadableThread,
    RunId,
    RunnableThread,
    ServicesDep,
)
from gateway.controller.documented_errors import may_answer
from gateway.controller.json_body import JsonRoute
from gateway.service.access import Action, acting_user
from gateway.service.page_cursor import decode_cursor, encode_cursor
from gateway.service.run.explain import explain_run
from shared.contract.api import (
    CancelResponse,
    ExecuteRequest,
    ExecuteResponse,
    InputRequest,
    InputResponse,
    Page,
    WhyResponse,
)
from shared.contract.run import RunRecord
from shared.errors import (
    BrokerUnavailableError,
    InvalidCursorError,
    RunNotFoundError,
    RunNotWaitingError,
    SteeringFullError,
    ThreadBusyError,
    ThreadNotFoundError,
)

router = APIRouter(prefix="/api/agent/{thread_id}", tags=["runs"], route_class=JsonRoute)
# Included after the routes of a thread: the last part of such a path must not be taken for a run id.
lookup_router = APIRouter(prefix="/api/agent/runs", tags=["runs"])
_OF_A_RUN = may_answer(ThreadNotFoundError, RunNotFoundError)


@lookup_router.get("/{run_id}", response_model_exclude_none=True, responses=may_answer(RunNotFoundError))
async def find_run(services: ServicesDep, principal: PrincipalDep, run_id: RunId) -> RunRecord:
    """Read a run whose thread is not known."""
    thread_id = await services.runs.find_thread(run_id)
    try:
        await services.access.check(principal, thread_id, Action.READ)
        return await services.runs.get(thread_id or "", run_id)
    except ThreadNotFoundError as error:
        raise RunNotFoundError from error


@router.post(
    "/execute",
    responses=may_answer(
        ThreadNotFoundError,
        ThreadBusyError,
        RunNotFoundError,
        RunNotWaitingError,
        SteeringFullError,
        BrokerUnavailableError,
    ),
)
async def execute(
    services: ServicesDep, thread: RunnableThread, body: ExecuteRequest, idempotency_key: IdempotencyKey = ""
) -> ExecuteResponse:
    """Post a task; it runs at once, or after the runs that the thread has already."""
    body = body.model_copy(update={"user_uuid": acting_user(thread.principal, body.user_uuid)})
    return await services.submission.submit(thread.thread_id, body, owner=thread.owner, idempotency_key=idempotency_key)


@router.get("/runs", response_model_exclude_none=True, responses=may_answer(ThreadNotFoundError, InvalidCursorError))
async def list_runs(
    services: ServicesDep, thread_id: ReadableThread, cursor: Cursor = None, limit: Limit = 50
) -> Page[RunRecord]:
    """List the runs of a thread, newest first."""
    thread = await services.threads.get(thread_id)
    total = thread.run_count or await services.runs.count(thread_id)  # the record may not be readable
    # Counted from the oldest, so that new runs do not shift the pages.
    start = total - min(decode_cursor("runs", cursor), total) if cursor else 0
    page = await services.runs.newest(thread_id, start=start, limit=limit)
    left = total - page.following
    has_more = left > 0 and page.following > start  # the list may be shorter than the record says
    return Page(items=tuple(page.runs), next_cursor=encode_cursor("runs", left) if has_more else None)


@router.get("/runs/{run_id}", response_model_exclude_none=True, responses=_OF_A_RUN)
async def get_run(services: ServicesDep, thread_id: ReadableThread, run_id: RunId) -> RunRecord:
    """Read one run."""
    return await services.runs.get(thread_id, run_id)


@router.post("/runs/{run_id}/cancel", status_code=202, responses=_OF_A_RUN)
async def cancel_run(services: ServicesDep, thread: RunnableThread, run_id: RunId) -> CancelResponse:
    """Stop a run; harmless when it has ended, or was cancelled before."""
    status = await services.cancellation.cancel(thread.thread_id, run_id)
    return CancelResponse(thread_id=thread.thread_id, run_id=run_id, status=status)


@router.post(
    "/runs/{run_id}/input",
    status_code=202,
    responses=may_answer(ThreadNotFoundError, RunNotFoundError, RunNotWaitingError),
)
async def answer_run(services: ServicesDep, thread: RunnableThread, run_id: RunId, body: InputRequest) -> InputResponse:
    """Answer a run that waits for a person; it goes on at once."""
    status = await services.answering.answer(thread.thread_id, run_id, body)
    return InputResponse(thread_id=thread.thread_id, run_id=run_id, status=status)


@router.get("/runs/{run_id}/why", response_model_exclude_none=True, responses=_OF_A_RUN)
async def why(services: ServicesDep, thread_id: ReadableThread, run_id: RunId) -> WhyResponse:
    """Explain what a run is doing or waiting for, and what happens next by itself."""
    return explain_run(await services.diagnoses.read(thread_id, run_id))
