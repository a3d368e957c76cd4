"""Publishes jobs to the Celery broker, off the event loop and within a time limit."""

import asyncio
import logging
import math
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar

from celery import Celery
from kombu.exceptions import KombuError, OperationalError

from shared.broker.queue import JOB_EXPIRES_SECONDS
from shared.contract.run import RunJob
from shared.daemon_threads import DaemonThreads
from shared.errors import BrokerUnavailableError
from shared.keys import EXECUTE_RUN_TASK

_THREADS: Final = 4  # one publish takes 0.4 ms; more threads would only wait for one another
# One try over a fresh connection: the pooled one may have died since its last use.
_RETRY_POLICY: Final = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}

T = TypeVar("T")
logger = logging.getLogger(__name__)


class JobPublisher:
    """Publishes by task name. The app is its own: `close` ends its connections."""

    def __init__(self, celery: Celery, *, timeout_seconds: float) -> None:
        self._celery = celery
        self._timeout = timeout_seconds
        connection = celery.connection_for_write()
        self._broker_errors: tuple[type[BaseException], ...] = (
            KombuError,
            OSError,
            *connection.connection_errors,
            *connection.channel_errors,
        )
        self._threads = DaemonThreads(_THREADS, "publish")
        # One thread and one connection, so that a broker which hangs takes nothing from those that publish.
        self._check_thread = DaemonThreads(1, "check broker")
        self._checking: Future[None] | None = None
        self._check_connection: Any = None  # of kombu, which leaves what we need of it untyped

    async def publish(self, job: RunJob) -> None:
        """Send the job to the broker; raises BrokerUnavailableError, after which it may still have arrived."""
        await self._within_limit(lambda: self._send(job))

    async def check(self) -> None:
        """Return when the broker answers, joining a check that is still running; raises BrokerUnavailableError."""
        if self._checking is None or self._checking.done():
            self._checking = self._check_thread.submit(self._ping)
        with self._translated_errors():
            async with asyncio.timeout(self._timeout):
                await asyncio.shield(asyncio.wrap_future(self._checking))

    async def warm_up(self) -> None:
        """Connect before the first job comes; a broker that is down is only logged."""
        try:
            await self._within_limit(self._warm)
        except BrokerUnavailableError as error:
            logger.warning("broker does not answer yet: %s", error.__cause__)

    async def close(self) -> None:
        """Take no more jobs; a thread that still waits for the broker ends with the process."""
        self._threads.shutdown()
        self._check_thread.shutdown()
        self._celery.close()

    async def _within_limit(self, work: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        with self._translated_errors():
            async with asyncio.timeout(self._timeout):
                return await loop.run_in_executor(self._threads, work)

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except self._broker_errors as error:  # TimeoutError is an OSError
            raise BrokerUnavailableError from error

    def _send(self, job: RunJob) -> None:
        self._celery.send_task(
            EXECUTE_RUN_TASK,
            args=[job.thread_id, job.run_id],
            expires=JOB_EXPIRES_SECONDS,
            retry=True,
            retry_policy=_RETRY_POLICY,
            ignore_result=True,
        )

    def _ping(self) -> None:
        """Ping over the connection of the last check; if that has broken since, over a new one."""
        is_new = self._check_connection is None
        if is_new:
            self._check_connection = self._celery.connection_for_write()
        try:
            self._connect_and_ping(self._check_connection)
        except self._broker_errors:
            connection, self._check_connection = self._check_connection, None
            with suppress(*self._broker_errors):
                connection.release()
            if is_new:
                raise
        else:
            return
        self._ping()

    def _connect_and_ping(self, connection: Any) -> None:
        connection.ensure_connection(max_retries=1, interval_start=0, timeout=math.ceil(self._timeout))
        if not connection.connected:
            raise OperationalError("the broker refuses connections")
        connection.ping()

    def _warm(self) -> None:
        # What Celery would look up and import with the first job, some 30 ms.
        self._celery.amqp.router.route({}, EXECUTE_RUN_TASK)
        assert self._celery.amqp.send_task_message is not None
        assert self._celery.backend is not None
        self._celery.now()
        with self._celery.producer_or_acquire() as producer:
            producer.connection.ensure_connection(max_retries=1, interval_start=0, timeout=math.ceil(self._timeout))
            for queue in self._celery.amqp.queues.values():
                producer.maybe_declare(queue)
