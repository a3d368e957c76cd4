"""The gateway's connection to the broker: publishes jobs, checks whether the broker answers, connects beforehand."""

import asyncio
import logging
import math
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final

from celery import Celery
from kombu.exceptions import OperationalError

from shared.broker.publisher import BrokerErrors, JobPublisher
from shared.contract.run import RunJob
from shared.daemon_threads import DaemonThreads
from shared.errors import BrokerUnavailableError
from shared.keys import EXECUTE_RUN_TASK

_CONNECT_ONCE: Final = {"max_retries": 1, "interval_start": 0}

logger = logging.getLogger(__name__)


class JobDispatcher:
    """Publishes by task name. The app is its own: `close` ends its connections."""

    def __init__(self, celery: Celery, *, timeout_seconds: float) -> None:
        self._celery = celery
        self._timeout = timeout_seconds
        self._errors = BrokerErrors(celery)
        self._publisher = JobPublisher(celery, timeout_seconds=timeout_seconds)
        # One thread and one connection, so that a broker which hangs takes nothing from those that publish.
        self._check_thread = DaemonThreads(1, "check broker")
        self._checking: Future[None] | None = None
        self._check_connection: Any = None  # of kombu, which leaves what we need of it untyped

    async def publish(self, job: RunJob) -> None:
        """Send the job to the broker; raises BrokerUnavailableError, after which it may still have arrived."""
        await self._publisher.publish(job)

    async def check(self) -> None:
        """Return when the broker answers, joining a check that is still running; raises BrokerUnavailableError."""
        if self._checking is None or self._checking.done():
            self._checking = self._check_thread.submit(self._ping)
        with self._errors.translated():
            async with asyncio.timeout(self._timeout):
                await asyncio.shield(asyncio.wrap_future(self._checking))

    async def warm_up(self) -> None:
        """Connect before the first job comes; a broker that is down is only logged."""
        try:
            await self._publisher.within_limit(self._warm)
        except BrokerUnavailableError as error:
            logger.warning("broker does not answer yet: %s", error.__cause__)

    async def close(self) -> None:
        """Take no more jobs; a thread that still waits for the broker ends with the process."""
        self._publisher.close()
        self._check_thread.shutdown()
        self._celery.close()

    def _ping(self) -> None:
        """Ping over the connection of the last check; if that has broken since, over a new one."""
        is_new = self._check_connection is None
        if is_new:
            self._check_connection = self._celery.connection_for_write()
        try:
            self._connect_and_ping(self._check_connection)
        except self._errors.kinds:
            connection, self._check_connection = self._check_connection, None
            with suppress(*self._errors.kinds):
                connection.release()
            if is_new:
                raise
        else:
            return
        self._ping()

    def _connect_and_ping(self, connection: Any) -> None:
        connection.ensure_connection(timeout=math.ceil(self._timeout), **_CONNECT_ONCE)
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
            connection: Any = producer.connection
            connection.ensure_connection(timeout=math.ceil(self._timeout), **_CONNECT_ONCE)
            for queue in self._celery.amqp.queues.values():
                producer.maybe_declare(queue)
