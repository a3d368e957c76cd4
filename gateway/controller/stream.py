"""Routes of event streams: a thread's, and one run's."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from starlette.responses import Response

from gateway.controller.dependencies import LastId, Only, ReadableThread, RunId, ServicesDep, StreamGuard, open_stream
from gateway.controller.documented_errors import may_stream
from gateway.service.stream.open_stream import open_run_stream, open_thread_stream
from shared.errors import RunNotFoundError, ThreadNotFoundError

router = APIRouter(prefix="/api/agent/{thread_id}", tags=["streams"])

_OF_A_RUN = {**may_stream(ThreadNotFoundError, RunNotFoundError), 204: {"description": "Everything has been sent."}}

Until = Annotated[Literal["completion"] | None, Query()]


@router.get("/stream", response_class=Response, responses=may_stream(ThreadNotFoundError))
async def stream_thread(
    services: ServicesDep,
    thread_id: ReadableThread,
    guard: StreamGuard,
    *,
    last_id: LastId,
    only: Only,
    until: Until = None,
) -> Response:
    """Send the thread's events as they come, over all its runs."""
    keys = services.connection.keys(thread_id)
    request = await open_thread_stream(
        services.threads, services.events, keys, last_id, until_completion=until is not None
    )
    return open_stream(services, guard, request.filtered(only))


@router.get("/runs/{run_id}/stream", response_class=Response, responses=_OF_A_RUN)
async def stream_run(
    services: ServicesDep, thread_id: ReadableThread, run_id: RunId, guard: StreamGuard, *, last_id: LastId, only: Only
) -> Response:
    """Send one run's events and close after the last; 204 when the client has them all."""
    keys = services.connection.keys(thread_id)
    request = await open_run_stream(services.runs, services.events, keys, run_id, last_id=last_id)
    return Response(status_code=204) if request is None else open_stream(services, guard, request.filtered(only))
