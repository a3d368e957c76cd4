"""Publishes jobs to the Celery broker, off the event loop and within a time limit."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from celery import Celery
from kombu.exceptions import KombuError

from shared.broker.queue import JOB_EXPIRES_SECONDS
from shared.contract.run import RunJob
from shared.daemon_threads import DaemonThreads
from shared.errors import BrokerUnavailableError
from shared.keys import EXECUTE_RUN_TASK

# Not the event loop's default threads, which tools may occupy. One publish takes 0.4 ms; more threads would only wait
# for one another.
_THREADS: Final = 4
# One try over a fresh connection: the pooled one may have died since its last use.
_RETRY_POLICY: Final = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}
# Enough for one try on a dead connection and one on a new one; the reaper publishes again what takes longer.
_WORKER_TIMEOUT_SECONDS: Final = 10.0

_log = logging.getLogger(__name__)

T = TypeVar("T")


class JobPublisher:
    """Publishes by task name. `close` lets a thread that still waits for the broker end with the process."""

    def __init__(self, celery: Celery, *, timeout_seconds: float) -> None:
        self._celery = celery
        self._timeout = timeout_seconds
        self._errors = BrokerErrors(celery)
        self._threads = DaemonThreads(_THREADS, "publish")

    async def publish(self, job: RunJob) -> None:
        """Send the job to the broker; raises BrokerUnavailableError, after which it may still have arrived."""
        await self.within_limit(lambda: self._send(job))

    async def within_limit(self, work: Callable[[], T]) -> T:
        """Do something with the broker on a thread; raises BrokerUnavailableError."""
        loop = asyncio.get_running_loop()
        with self._errors.translated():
            async with asyncio.timeout(self._timeout):
                return await loop.run_in_executor(self._threads, work)

    def close(self) -> None:
        """Accept no more jobs."""
        self._threads.shutdown()

    def _send(self, job: RunJob) -> None:
        self._celery.send_task(
            EXECUTE_RUN_TASK,
            args=[job.thread_id, job.run_id],
            expires=JOB_EXPIRES_SECONDS,
            retry=True,
            retry_policy=_RETRY_POLICY,
            ignore_result=True,
        )


class RunPublisher:
    """Publishes from inside a worker, where a failure costs only time."""

    def __init__(self, celery: Celery, *, timeout_seconds: float = _WORKER_TIMEOUT_SECONDS) -> None:
        self._publisher = JobPublisher(celery, timeout_seconds=timeout_seconds)

    async def publish(self, job: RunJob) -> None:
        """Publish a job; a failure is only logged: the run stays pending and the reaper publishes it again."""
        try:
            await self._publisher.publish(job)
        except BrokerUnavailableError:
            _log.exception("the broker did not take the job of run %s", job.run_id)

    def close(self) -> None:
        """Accept no more jobs; a thread that still waits for the broker ends with the process."""
        self._publisher.close()


class BrokerErrors:
    """What Celery raises when its broker cannot be used."""

    def __init__(self, celery: Celery) -> None:
        connection = celery.connection_for_write()
        self.kinds: tuple[type[BaseException], ...] = (
            KombuError,
            OSError,
            *connection.connection_errors,
            *connection.channel_errors,
        )

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raise BrokerUnavailableError in their place."""
        try:
            yield
        except self.kinds as error:  # TimeoutError is an OSError
            raise BrokerUnavailableError from error
