"""What the routes are given: the services of this process, and checked parts of the request."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated

from fastapi import Depends, Header, Query, params
from starlette.requests import HTTPConnection
from starlette.responses import Response

from gateway.service.access import Action, CredentialVerifier, ThreadAccess, require_scope
from gateway.service.auth.credential_watch import CredentialWatch
from gateway.service.auth.sql_keys import ApiKeys
from gateway.service.health import HealthProbes
from gateway.service.run.answer import RunAnswer
from gateway.service.run.cancel import RunCancellation
from gateway.service.run.submit import RunSubmission
from gateway.service.stream.event_filter import EventFilter, parse_filter
from gateway.service.stream.event_hub import EventHub
from gateway.service.stream.sse import EventStream
from gateway.service.stream.stream_limits import StreamLimits
from gateway.service.stream.stream_session import ActiveRunLookup, EventStreamSession, StreamRequest, no_guard
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
from shared.store.workers import WorkerStore


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that the routes work with."""

    connection: StoreConnection
    verifier: CredentialVerifier | None  # None: nobody is asked who they are
    watch: CredentialWatch | None
    api_keys: ApiKeys | None
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


ServicesDep = Annotated[Services, Depends(_services)]
PrincipalDep = Annotated[Principal, Depends(_principal)]
# The id of a thread that may be read, or owned, by who asks; and a thread that it may execute tasks on.
ReadableThread = Annotated[str, _thread_id_for(Action.READ)]
OwnThread = Annotated[str, _thread_id_for(Action.OWN)]
RunnableThread = Annotated[CheckedThread, _thread_for(Action.RUN)]
StreamedThread = Annotated[CheckedThread, _thread_for(Action.READ)]
RunId = Annotated[str, Depends(_run_id)]
LastId = Annotated[str, Depends(_last_id)]
Only = Annotated[EventFilter | None, Depends(_filter)]
Cursor = Annotated[str | None, Query()]
Limit = Annotated[int, Query(ge=1, le=200)]
IdempotencyKey = Annotated[str, Header(max_length=255)]


def open_session(
    services: Services, principal: Principal, request: StreamRequest, runs: ActiveRunLookup | None = None
) -> EventStreamSession:
    """Return the session of a checked stream request; it ends when the principal's credential does."""
    watching = no_guard if services.watch is None else partial(services.watch.watching, principal)
    return EventStreamSession(services.hub, runs or services.threads, request, services.stream, watching)


def open_stream(
    services: Services, principal: Principal, request: StreamRequest, runs: ActiveRunLookup | None = None
) -> Response:
    """Return the response that sends a checked stream."""
    session = open_session(services, principal, request, runs)
    return EventStream(session, services.hub.wheel, services.stream_limits, services.stream)
