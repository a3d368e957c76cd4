"""The route of stream tickets."""

from fastapi import APIRouter
from starlette.responses import Response

from gateway.controller.dependencies import PrincipalDep, ServicesDep
from gateway.controller.documented_errors import may_answer
from gateway.controller.json_body import JsonRoute
from gateway.service.access import Action, acting_user
from gateway.service.auth.stream_tickets import ticket_holder
from shared.clock import isoformat
from shared.contract.api import StreamTicketRequest, StreamTicketResponse
from shared.errors import ThreadNotFoundError
from shared.ids import is_id

router = APIRouter(prefix="/api/stream-tickets", tags=["streams"], route_class=JsonRoute)


@router.post("", responses=may_answer(ThreadNotFoundError))
async def issue_ticket(
    services: ServicesDep, principal: PrincipalDep, response: Response, body: StreamTicketRequest
) -> StreamTicketResponse:
    """Issue a ticket that a page puts into the URL of the thread's EventSource or WebSocket."""
    holder = ticket_holder(principal, acting_user(principal, body.user_uuid))
    await services.access.check(holder, body.thread_id if is_id(body.thread_id) else None, Action.READ)
    if not await services.threads.exists(body.thread_id):
        raise ThreadNotFoundError
    ticket = await services.tickets.issue(holder, principal, body.thread_id)
    response.headers["Cache-Control"] = "no-store"
    return StreamTicketResponse(ticket=ticket.text, expires_at=isoformat(ticket.expires_at))
