"""The composition root of the gateway: builds the app out of settings."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from importlib.metadata import version
from typing import Final

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from gateway.controller import health, keys, legacy, run, socket, stream, stream_ticket, thread
from gateway.controller.dependencies import Services
from gateway.controller.error_handlers import add_error_handlers
from gateway.core.authentication import Authentication
from gateway.core.browser_checks import AllowedHosts, AllowedOrigins, BrowserChecks, is_loopback
from gateway.core.credentials import Credentials, open_credentials
from gateway.core.middleware import REQUEST_ID_HEADER, BodyLimit, RequestEdge
from gateway.service.access import ThreadAccess
from gateway.service.auth.stream_tickets import TICKET_LIMITS, StreamTickets
from gateway.service.dispatch import JobDispatcher
from gateway.service.health import HealthProbes
from gateway.service.run.answer import RunAnswer
from gateway.service.run.cancel import RunCancellation
from gateway.service.run.submit import RunSubmission
from gateway.service.stream.event_hub import EventHub
from gateway.service.stream.sse import BUFFER_SHARE
from gateway.service.stream.stream_limits import StreamLimits
from shared.broker.queue import make_celery
from shared.clock import SystemClock
from shared.config import RedisConfig, StreamConfig
from shared.errors import StoreUnavailableError
from shared.settings.model import Settings
from shared.store.connection import StoreConnection, open_connection
from shared.store.events import EventStore
from shared.store.leases import LeaseStore
from shared.store.run_diagnosis import RunDiagnosisStore
from shared.store.runs import RunStore
from shared.store.threads import ThreadStore
from shared.store.tickets import TicketStore
from shared.store.workers import WorkerStore

# HTTP clients do not wait long: a Redis that hangs is reported within two seconds.
_MAX_REDIS_WAIT_SECONDS: Final = 0.9
_REDIS_RETRIES: Final = 1

logger = logging.getLogger(__name__)


def create_app(settings: Settings, services: Services | None = None) -> FastAPI:
    """Return the gateway; `services` replace those that it would open (and close) itself.

    `settings.gateway.host` is the address that it listens on.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if services is not None:
            app.state.services = services
            yield
            return
        async with _open_services(settings) as opened:
            app.state.services = opened
            yield

    app = FastAPI(
        title="Baud",
        version=version("baud"),
        lifespan=lifespan,
        middleware=_middleware(settings),
        docs_url=None,
        redoc_url=None,
    )
    add_error_handlers(app)
    routers = (health, thread, run, stream, stream_ticket, socket, legacy, keys)
    for router in (*(module.router for module in routers), run.lookup_router):
        app.include_router(router)
    return app


def _middleware(settings: Settings) -> list[Middleware]:
    cors = partial(
        CORSMiddleware,
        **settings.cors.model_dump(),
        expose_headers=(REQUEST_ID_HEADER, "Retry-After"),
    )
    gateway = settings.gateway
    hosts = AllowedHosts(gateway.allowed_hosts, is_on_loopback=is_loopback(gateway.host))
    return [
        Middleware(RequestEdge, slow_seconds=gateway.slow_request, wrap_error_response=cors),
        Middleware(cors),
        Middleware(BrowserChecks, hosts=hosts, origins=AllowedOrigins(settings.cors.allow_origins)),
        Middleware(Authentication),
        Middleware(BodyLimit, max_bytes=gateway.max_body_bytes, limit_seconds=gateway.body_timeout),
    ]


@asynccontextmanager
async def _open_services(settings: Settings) -> AsyncIterator[Services]:
    async with AsyncExitStack() as stack:
        connection = open_connection(_with_short_timeouts(settings.redis), retries=_REDIS_RETRIES)
        stack.push_async_callback(connection.aclose)
        threads = ThreadStore(connection, ttl_seconds=settings.thread.ttl)
        runs = RunStore(connection, ttl_seconds=settings.thread.ttl, max_length=settings.stream.max_length)
        events = EventStore(connection)
        workers = WorkerStore(connection)
        publisher = _make_publisher(settings)
        stack.push_async_callback(publisher.close)
        hub = await stack.enter_async_context(_make_hub(settings.stream, events, connection))
        clock = SystemClock()
        cancellation = RunCancellation(runs, LeaseStore(connection), publisher, clock)
        answering = RunAnswer(runs, publisher)
        probes = HealthProbes(workers, publisher)
        stack.push_async_callback(probes.close)
        credentials = await stack.enter_async_context(open_credentials(settings))
        tickets = _make_tickets(connection, credentials, clock)
        _start(stack, _warm_up(connection, workers, publisher), *_credential_work(credentials, tickets, threads))
        yield Services(
            connection=connection,
            verifier=credentials.verifier if credentials else None,
            watch=credentials.watch if credentials else None,
            api_keys=credentials.api_keys if credentials else None,
            tickets=tickets,
            access=ThreadAccess(threads),
            threads=threads,
            runs=runs,
            events=events,
            workers=workers,
            hub=hub,
            stream_limits=StreamLimits(settings.gateway),
            probes=probes,
            submission=RunSubmission(runs, threads, publisher, cancellation, answering, clock=clock),
            cancellation=cancellation,
            answering=answering,
            diagnoses=RunDiagnosisStore(connection),
            stream=settings.stream,
            max_message_bytes=settings.gateway.max_body_bytes,
        )


def _start(stack: AsyncExitStack, *works: Coroutine[None, None, None]) -> None:
    for work in works:
        stack.push_async_callback(_cancel, asyncio.create_task(work))


async def _warm_up(connection: StoreConnection, workers: WorkerStore, publisher: JobDispatcher) -> None:
    await publisher.warm_up()
    with suppress(StoreUnavailableError):
        await connection.load_scripts()
        await workers.warn_of_risks()


def _credential_work(
    credentials: Credentials | None, tickets: StreamTickets, threads: ThreadStore
) -> Iterator[Coroutine[None, None, None]]:
    """Yield what runs in the background where requests need a credential."""
    if credentials is not None:
        yield credentials.watch.run()
        yield tickets.run()
        yield _warm_up_tokens(credentials)
        yield _adopt_threads(threads)


async def _warm_up_tokens(credentials: Credentials) -> None:
    if credentials.tokens is not None:
        await credentials.tokens.warm_up()


async def _adopt_threads(threads: ThreadStore) -> None:
    """List the threads that were made before threads had tenants; at the next start, if Redis is away."""
    with suppress(StoreUnavailableError):
        if adopted := await threads.index.adopt():
            logger.info("%d threads without a tenant now belong to the default tenant", adopted)


def _make_tickets(connection: StoreConnection, credentials: Credentials | None, clock: SystemClock) -> StreamTickets:
    revocations = credentials.revocations if credentials else None
    return StreamTickets(TicketStore(connection, TICKET_LIMITS), revocations, clock)


def _make_hub(config: StreamConfig, events: EventStore, connection: StoreConnection) -> EventHub:
    return EventHub(
        events,
        connection.thread_notifications(),
        buffer_bytes=config.client_buffer_bytes // BUFFER_SHARE,
        max_length=config.max_length,
    )


def _make_publisher(settings: Settings) -> JobDispatcher:
    limit = settings.gateway.publish_timeout
    celery = make_celery(settings.modem, settings.redis, socket_timeout=limit / 2)  # it is tried twice
    return JobDispatcher(celery, timeout_seconds=limit)


def _with_short_timeouts(config: RedisConfig) -> RedisConfig:
    return config.model_copy(
        update={
            "connect_timeout": min(config.connect_timeout, _MAX_REDIS_WAIT_SECONDS),
            "command_timeout": min(config.command_timeout, _MAX_REDIS_WAIT_SECONDS),
        }
    )


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
