"""Routes of threads: made, listed, read, deleted."""

from fastapi import APIRouter

from gateway.controller.dependencies import Cursor, Limit, ServicesDep, ThreadId
from gateway.controller.documented_errors import may_answer
from gateway.controller.json_body import JsonRoute
from gateway.service.page_cursor import decode_cursor, encode_cursor
from shared.contract.api import InitiateRequest, InitiateResponse, Page
from shared.contract.message import ChatMessage
from shared.contract.thread import ThreadRecord
from shared.errors import InvalidCursorError, ThreadNotFoundError
from shared.ids import new_id

router = APIRouter(prefix="/api/agent", tags=["threads"], route_class=JsonRoute)


@router.post("/initiate", responses=may_answer())
async def initiate(services: ServicesDep, body: InitiateRequest | None = None) -> InitiateResponse:
    """Make a thread."""
    body = body or InitiateRequest()
    thread = await services.threads.create(new_id(), metadata=body.metadata, context=body.context)
    return InitiateResponse(thread_id=thread.thread_id, created_at=thread.created_at, status=thread.status)


@router.get("/threads", response_model_exclude_none=True, responses=may_answer(InvalidCursorError))
async def list_threads(services: ServicesDep, cursor: Cursor = None, limit: Limit = 50) -> Page[ThreadRecord]:
    """List threads, newest first."""
    return await services.threads.newest(cursor=cursor, limit=limit)


@router.get("/{thread_id}", response_model_exclude_none=True, responses=may_answer(ThreadNotFoundError))
async def get_thread(services: ServicesDep, thread_id: ThreadId) -> ThreadRecord:
    """Read one thread."""
    return await services.threads.get(thread_id)


@router.delete("/{thread_id}", status_code=204, responses=may_answer(ThreadNotFoundError))
async def delete_thread(services: ServicesDep, thread_id: ThreadId) -> None:
    """Remove a thread with all its runs, events and messages."""
    await services.threads.delete(thread_id)


@router.get(
    "/{thread_id}/messages",
    response_model_exclude_none=True,
    responses=may_answer(ThreadNotFoundError, InvalidCursorError),
)
async def list_messages(
    services: ServicesDep, thread_id: ThreadId, cursor: Cursor = None, limit: Limit = 50
) -> Page[ChatMessage]:
    """Read the conversation, oldest first."""
    start = decode_cursor("messages", cursor) if cursor else 0
    page = await services.threads.messages(thread_id, start=start, limit=limit)
    if not page.messages and not await services.threads.exists(thread_id):
        raise ThreadNotFoundError
    following = None if page.following is None else encode_cursor("messages", page.following)
    return Page(items=tuple(page.messages), next_cursor=following)
