"""Middleware that finds out who asks, before any route: a request without a valid credential goes no further."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.controller.dependencies import Services
from gateway.controller.error_handlers import refuse_request
from gateway.controller.health import PROBES
from gateway.core.ticket_routes import presented_ticket
from gateway.service.auth.stream_tickets import StreamTickets
from shared.contract.principal import ANONYMOUS, Principal
from shared.errors import BaudError, UnauthenticatedError


class Authentication:
    """Puts the principal of each request into its state; 401 for one that has no valid credential."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection of the server."""
        if scope["type"] != "lifespan" and scope["path"] not in PROBES:
            try:
                scope["state"]["principal"] = await _principal(scope)
            except BaudError as error:
                await refuse_request(scope, error)(scope, receive, send)
                return
        await self._app(scope, receive, send)


async def _principal(scope: Scope) -> Principal:
    services: Services = scope["app"].state.services
    if services.verifier is None:  # auth.mode = none
        return ANONYMOUS
    authorization = Headers(scope=scope).get("authorization")
    if authorization is None:
        return await _ticket_holder(scope, services.tickets)
    scheme, _, credential = authorization.partition(" ")
    if scheme.lower() != "bearer" or not credential.strip():
        raise UnauthenticatedError
    return await services.verifier.verify(credential.strip())


async def _ticket_holder(scope: Scope, tickets: StreamTickets) -> Principal:
    presented = presented_ticket(scope)
    if presented is None:
        raise UnauthenticatedError
    ticket = await tickets.redeem(*presented, may_run=scope["type"] == "websocket")
    scope["state"]["ticket"] = ticket.key
    return ticket.principal
