"""Publishes jobs from inside a worker, on threads of its own and within a time limit."""

import asyncio
import logging
from typing import Final

from celery import Celery
from kombu.exceptions import KombuError

from shared.broker.queue import JOB_EXPIRES_SECONDS
from shared.contract.run import RunJob
from shared.daemon_threads import DaemonThreads
from shared.keys import EXECUTE_RUN_TASK

# Not the event loop's default threads: tools may occupy all of them, and a hand-over must not wait for tools.
_THREADS: Final = 4
# Enough for one try on a dead connection and one on a new one; the reaper publishes again what takes longer.
_TIMEOUT_SECONDS: Final = 10.0

_log = logging.getLogger(__name__)


class JobPublisher:
    """Sends `modem.execute_run` by name."""

    def __init__(self, app: Celery, *, timeout_seconds: float = _TIMEOUT_SECONDS) -> None:
        self._app = app
        self._timeout = timeout_seconds
        self._threads = DaemonThreads(_THREADS, "publish")
        connection = app.connection_for_write()
        self._broker_errors: tuple[type[BaseException], ...] = (
            KombuError,
            OSError,
            *connection.connection_errors,
            *connection.channel_errors,
        )

    async def publish(self, job: RunJob) -> None:
        """Publish a job; a failure is only logged: the run stays pending and the reaper publishes it again."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout):
                await loop.run_in_executor(self._threads, self._send, job)
        except self._broker_errors:  # TimeoutError is an OSError
            _log.exception("the broker did not take the job of run %s", job.run_id)

    def close(self) -> None:
        """Accept no more jobs; a thread that still waits for the broker ends with the process."""
        self._threads.shutdown()

    def _send(self, job: RunJob) -> None:
        self._app.send_task(EXECUTE_RUN_TASK, args=[job.thread_id, job.run_id], expires=JOB_EXPIRES_SECONDS)
