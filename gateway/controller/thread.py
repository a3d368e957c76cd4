"""Routes of threads: made, listed, read, deleted."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path

from gateway.controller.dependencies import (
    Cursor,
    Limit,
    OwnThread,
    PrincipalDep,
    ReadableThread,
    ServicesDep,
    require,
)
from gateway.controller.documented_errors import may_answer
from gateway.controller.json_body import JsonRoute
from gateway.service.access import acting_user, index_of, may_list
from gateway.service.page_cursor import decode_cursor, encode_cursor
from shared.contract.api import InitiateRequest, InitiateResponse, Page, ShareRequest
from shared.contract.message import ChatMessage
from shared.contract.principal import MAX_USER_CHARS, Scope
from shared.contract.thread import ThreadRecord
from shared.errors import InvalidCursorError, ThreadNotFoundError, TooManySharesError
from shared.ids import new_id

router = APIRouter(prefix="/api/agent", tags=["threads"], route_class=JsonRoute)

UserId = Annotated[str, Path(min_length=1, max_length=MAX_USER_CHARS)]


@router.post("/initiate", dependencies=[require(Scope.RUN)], responses=may_answer())
async def initiate(
    services: ServicesDep, principal: PrincipalDep, body: InitiateRequest | None = None
) -> InitiateResponse:
    """Make a thread."""
    body = body or InitiateRequest()
    owner = acting_user(principal, body.user_uuid) or ""
    thread = await services.threads.create(
        new_id(), metadata=body.metadata, context=body.context, tenant=principal.tenant, owner=owner
    )
    return InitiateResponse(thread_id=thread.thread_id, created_at=thread.created_at, status=thread.status)


@router.get(
    "/threads",
    dependencies=[require(Scope.READ)],
    response_model_exclude_none=True,
    responses=may_answer(InvalidCursorError),
)
async def list_threads(
    services: ServicesDep, principal: PrincipalDep, cursor: Cursor = None, limit: Limit = 50
) -> Page[ThreadRecord]:
    """List threads, newest first."""
    return await services.threads.newest(
        cursor=cursor, limit=limit, index=index_of(principal), may_see=partial(may_list, principal)
    )


@router.get("/{thread_id}", response_model_exclude_none=True, responses=may_answer(ThreadNotFoundError))
async def get_thread(services: ServicesDep, thread_id: ReadableThread) -> ThreadRecord:
    """Read one thread."""
    return await services.threads.get(thread_id)


@router.delete("/{thread_id}", status_code=204, responses=may_answer(ThreadNotFoundError))
async def delete_thread(services: ServicesDep, thread_id: OwnThread) -> None:
    """Remove a thread with all its runs, events and messages."""
    await services.threads.delete(thread_id)


@router.put(
    "/{thread_id}/shares/{user:path}",
    response_model_exclude_none=True,
    responses=may_answer(ThreadNotFoundError, TooManySharesError),
)
async def share_thread(services: ServicesDep, thread_id: OwnThread, user: UserId, body: ShareRequest) -> ThreadRecord:
    """Let another user of the tenant read the thread (viewer), or work on it as well (editor)."""
    return await services.threads.share(thread_id, user, body.role)


@router.delete(
    "/{thread_id}/shares/{user:path}", response_model_exclude_none=True, responses=may_answer(ThreadNotFoundError)
)
async def unshare_thread(services: ServicesDep, thread_id: OwnThread, user: UserId) -> ThreadRecord:
    """Share the thread with this user no longer; harmless when it was not shared."""
    return await services.threads.share(thread_id, user, None)


@router.get(
    "/{thread_id}/messages",
    response_model_exclude_none=True,
    responses=may_answer(ThreadNotFoundError, InvalidCursorError),
)
async def list_messages(
    services: ServicesDep, thread_id: ReadableThread, cursor: Cursor = None, limit: Limit = 50
) -> Page[ChatMessage]:
    """Read the conversation, oldest first."""
    start = decode_cursor("messages", cursor) if cursor else 0
    page = await services.threads.messages(thread_id, start=start, limit=limit)
    if not page.messages and not await services.threads.exists(thread_id):
        raise ThreadNotFoundError
    following = None if page.following is None else encode_cursor("messages", page.following)
    return Page(items=tuple(page.messages), next_cursor=following)
