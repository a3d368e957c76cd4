"""What the routes are given: the services of this process, and checked parts of the request."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from fastapi import Depends, Header, Query, params
from starlette.requests import HTTPConnection
from starlette.responses import Response

from gateway.service.access import Action, ThreadAccess, require_scope
from gateway.service.auth.credential_watch import CredentialWatch
from gateway.service.auth.ports import CredentialVerifier
from gateway.service.auth.sql_keys import ApiKeys
from gateway.service.auth.stream_tickets import StreamTickets
from gateway.service.health import HealthProbes
from gateway.service.run.answer import RunAnswer
from gateway.service.run.cancel import RunCancellation
from gateway.service.run.submit import RunSubmission
from gateway.service.stream.event_filter import EventFilter, parse_filter
from gateway.service.stream.event_hub import EventHub
from gateway.service.stream.sse import EventStream
from gateway.service.stream.stream_limits import StreamLimits
from gateway.service.stream.stream_session import (
    ActiveRunLookup,
    CredentialGuard,
    EventStreamSession,
    StreamRequest,
    no_guard,
)
from shared.config import StreamConfig
from shared.contract.principal import Principal, Scope
from shared.contract.thread import ThreadOwner
from shared.errors import RunNotFoundError
from shared.ids import is_id
from shared.store.connection import StoreConnection
from shared.store.events import EventStore
from shared.store.run_diagnosis import RunDiagnosisStore
from shared.store.runs import RunStore
from shared.store.threads import ThreadStore
from shared.store.tickets import TicketKey
from shared.store.workers import WorkerStore


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that the routes work with."""

    connection: StoreConnection
    verifier: CredentialVerifier | None  # None: nobody is asked who they are
    watch: CredentialWatch | None
    api_keys: ApiKeys | None
    tickets: StreamTickets
    access: ThreadAccess
    threads: ThreadStore
    runs: RunStore
    events: EventStore
    workers: WorkerStore
    hub: EventHub
    stream_limits: StreamLimits
    probes: HealthProbes
    submission: RunSubmission
    cancellation: RunCancellation
    answering: RunAnswer
    diagnoses: RunDiagnosisStore
    stream: StreamConfig
    max_message_bytes: int


async def _services(connection: HTTPConnection) -> Services:
    services: Services = connection.app.state.services
    return services


async def _principal(connection: HTTPConnection) -> Principal:
    principal: Principal = connection.state.principal
    return principal


def require(scope: Scope) -> params.Depends:
    """Return the dependency of a route that is of no one thread and needs this scope."""

    async def check(principal: Annotated[Principal, Depends(_principal)]) -> None:
        require_scope(principal, scope)

    return params.Depends(check)


@dataclass(frozen=True, slots=True)
class CheckedThread:
    """A thread that the principal may use in the way that the route says."""

    thread_id: str
    owner: ThreadOwner
    principal: Principal


def _thread_for(action: Action) -> params.Depends:
    async def check(connection: HTTPConnection, thread_id: str) -> CheckedThread:
        services: Services = connection.app.state.services
        known = thread_id if is_id(thread_id) else None
        principal: Principal = connection.state.principal
        return CheckedThread(thread_id, await services.access.check(principal, known, action), principal)

    return params.Depends(check)


def _thread_id_for(action: Action) -> params.Depends:
    async def check(thread: Annotated[CheckedThread, _thread_for(action)]) -> str:
        return thread.thread_id

    return params.Depends(check)


async def _run_id(run_id: str) -> str:
    if not is_id(run_id):
        raise RunNotFoundError
    return run_id


async def _last_id(
    last_id: Annotated[str | None, Query()] = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> str:
    return last_event_id or last_id or ""


async def _filter(
    types: Annotated[list[str] | None, Query(description="execute_types or names of events, by commas")] = None,
    deltas: Annotated[bool, Query(description="false: without pieces of streamed text")] = True,
) -> EventFilter | None:
    return parse_filter(types, has_deltas=deltas)


async def _stream_guard(
    connection: HTTPConnection,
    _ticket: Annotated[
        str | None, Query(alias="ticket", description="from POST /api/stream-tickets, instead of Authorization")
    ] = None,  # Authentication has taken it; here it is for the OpenAPI document
) -> CredentialGuard:
    services: Services = connection.app.state.services
    if services.watch is None:
        return no_guard
    watching = partial(services.watch.watching, connection.state.principal)
    key: TicketKey | None = getattr(connection.state, "ticket", None)
    return watching if key is None else partial(_watch_with_ticket, watching, services.tickets, key)


@contextmanager
def _watch_with_ticket(
    watching: CredentialGuard, tickets: StreamTickets, key: TicketKey, end: Callable[[], None]
) -> Iterator[None]:
    with watching(end), tickets.in_use(key):
        yield


ServicesDep = Annotated[Services, Depends(_services)]
PrincipalDep = Annotated[Principal, Depends(_principal)]
# The id of a thread that may be read, or owned, by who asks; and a thread that it may execute tasks on.
ReadableThread = Annotated[str, _thread_id_for(Action.READ)]
OwnThread = Annotated[str, _thread_id_for(Action.OWN)]
RunnableThread = Annotated[CheckedThread, _thread_for(Action.RUN)]
StreamGuard = Annotated[CredentialGuard, Depends(_stream_guard)]
RunId = Annotated[str, Depends(_run_id)]
LastId = Annotated[str, Depends(_last_id)]
Only = Annotated[EventFilter | None, Depends(_filter)]
Cursor = Annotated[str | None, Query()]
Limit = Annotated[int, Query(ge=1, le=200)]
IdempotencyKey = Annotated[str, Header(max_length=255)]


def open_session(
    services: Services, guard: CredentialGuard, request: StreamRequest, runs: ActiveRunLookup | None = None
) -> EventStreamSession:
    """Return the session of a checked stream request; it ends when the credential does that `guard` watches."""
    return EventStreamSession(services.hub, runs or services.threads, request, services.stream, guard)


def open_stream(
    services: Services, guard: CredentialGuard, request: StreamRequest, runs: ActiveRunLookup | None = None
) -> Response:
    """Return the response that sends a checked stream."""
    session = open_session(services, guard, request, runs)
    return EventStream(session, services.hub.wheel, services.stream_limits, services.stream)
