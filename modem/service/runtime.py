"""What a worker process holds open: Redis, sandboxes, models. Opened and closed on the event loop."""

import asyncio
import logging
import os
import socket
import uuid
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Final, Self

from celery import Celery

from modem.service.background import run_forever
from modem.service.build_engine import EngineBuilder
from modem.service.end_unreadable import UnreadableRuns
from modem.service.execute_run import RunServices
from modem.service.lease.active_runs import ActiveRuns, LeaseKeeper
from modem.service.lease.cancel_listener import CancelListener
from modem.service.lease.expire_questions import QuestionExpiry
from modem.service.lease.reap_runs import Reaper
from modem.service.run_log.masking import SecretMask
from modem.service.sweep_workspaces import WorkspaceSweeper
from shared.broker.publisher import RunPublisher
from shared.clock import SystemClock
from shared.contract.state import Phase
from shared.errors import BaudError, StoreUnavailableError
from shared.keys import WORKER_CHANNEL_PREFIX
from shared.secret_values import secret_values
from shared.settings.model import Settings
from shared.store.connection import check_connection, open_connection
from shared.store.dead_letters import DeadLetterStore
from shared.store.leases import LeaseStore
from shared.store.presence import ThreadPresence
from shared.store.runs import RunStore
from shared.store.threads import ThreadStore
from shared.store.workers import WorkerStore
from workflow.service.sandbox.pool import SandboxPool
from workflow.service.sandbox.provider import build_sandbox_provider
from workflow.service.sandbox.workspaces import Workspaces
from workflow.tool.registry import ToolRegistry

_log = logging.getLogger(__name__)

_SWEEP_SECONDS: Final = 60.0


class Runtime:
    """`async with` opens everything; leaving it closes everything, in reverse order. `app` publishes jobs.

    Once entered, a run would begin at once: only then does the worker report itself alive and take jobs.
    """

    def __init__(self, settings: Settings, app: Celery, environment: Mapping[str, str]) -> None:
        self._settings = settings
        self._stack = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []
        self.worker_id = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        connection = open_connection(settings.redis)
        self._connection = connection
        self._workers = WorkerStore(connection)
        self.dead_letters = DeadLetterStore(connection)
        leases, active, clock, publisher = LeaseStore(connection), ActiveRuns(), SystemClock(), RunPublisher(app)
        self._keeper = LeaseKeeper(leases, active, settings.modem, clock)
        channel = WORKER_CHANNEL_PREFIX + self.worker_id
        self._cancel_listener = CancelListener(connection.worker_notifications(), channel, self._keeper, active)
        runs = RunStore(connection, ttl_seconds=settings.thread.ttl, max_length=settings.stream.max_length)
        expiry = QuestionExpiry(runs, settings.agent.question_default, clock)
        unreadable = UnreadableRuns(runs, leases, publisher, clock)
        self._reaper = Reaper(leases, publisher, settings.modem, expiry, unreadable=unreadable, active=active)
        provider = build_sandbox_provider(
            settings.sandbox, settings.sandbox_root, is_production=settings.env == "prod", env=environment
        )
        self._sandboxes = SandboxPool(provider, idle_timeout_seconds=settings.sandbox.idle_timeout)
        self._sweeper = WorkspaceSweeper(ThreadPresence(connection), Workspaces(settings.sandbox_root), self._sandboxes)
        self.threads = ThreadStore(connection, ttl_seconds=settings.thread.ttl)
        self.services = RunServices(
            worker_id=self.worker_id,
            keys=connection.keys,
            runs=runs,
            engines=self._engine_builder(environment),
            leases=leases,
            publisher=publisher,
            active=active,
            agent=settings.agent,
            modem=settings.modem,
            stream=settings.stream,
            clock=clock,
            mask=SecretMask(secret_values(environment)),
        )

    async def __aenter__(self) -> Self:
        self._stack.push_async_callback(self._connection.aclose)
        await check_connection(self._settings.redis)
        self._stack.callback(self.services.publisher.close)
        self._stack.push_async_callback(self._sandboxes.close)
        await self._prepare()
        self._tasks = [
            asyncio.create_task(run_forever(name, work))
            for name, work in (
                ("worker heartbeat", self._report_alive),
                ("sandbox sweeper", self._sweep),
                ("workspace sweeper", self._sweeper.run),
                ("workspace remover", self._sweeper.empty_trash),
                ("lease keeper", self._keeper.run),
                ("reaper", self._reaper.run),
                ("cancel listener", self._cancel_listener.listen),
                ("cancel renewal", self._cancel_listener.renew),
            )
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with suppress(StoreUnavailableError):
            await self._workers.report_gone(self.worker_id)
        await self._stack.aclose()

    async def drain(self) -> None:
        """Hand the active runs over to other workers, within `modem.drain_timeout`."""
        await self.services.active.drain(self._settings.modem.drain_timeout)

    async def _prepare(self) -> None:
        """Load scripts, models and tools; a failure is logged, and reported again by each run."""
        with suppress(StoreUnavailableError):
            await self._connection.load_scripts()
            await self._workers.warn_of_risks()
        # A custom model may raise anything while it is built: the worker stays up, and its runs end with an error.
        (error,) = await asyncio.gather(self.services.engines.prepare(), return_exceptions=True)
        if isinstance(error, BaudError):
            _log.error("runs cannot begin: %s", error.message)
        elif error is not None:
            _log.error("runs cannot begin: the model or a tool failed while it was loaded", exc_info=error)

    async def _report_alive(self) -> None:
        modem = self._settings.modem
        while True:
            with suppress(StoreUnavailableError):
                await self._workers.report_alive(self.worker_id, lifetime_seconds=modem.lease_seconds)
            await asyncio.sleep(modem.renew_seconds)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            await self._sandboxes.sweep()

    def _engine_builder(self, environment: Mapping[str, str]) -> EngineBuilder:
        settings = self._settings
        return EngineBuilder(
            agent=settings.agent,
            llm_by_phase={
                Phase.PLANNING: settings.find_llm(settings.agent.planning_llm),
                Phase.EXECUTION: settings.find_llm(settings.agent.execution_llm),
            },
            registry=lambda: ToolRegistry.from_config(settings.tools),
            sandboxes=self._sandboxes,
            network=settings.sandbox.network,
            environment=environment,
        )
