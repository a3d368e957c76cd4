"""Publishes jobs from inside a worker, off its event loop."""

import asyncio
import logging

from celery import Celery
from kombu.exceptions import KombuError

from shared.contract.run import RunJob
from shared.keys import EXECUTE_RUN_TASK
from shared.queue import JOB_EXPIRES_SECONDS

_log = logging.getLogger(__name__)


class JobPublisher:
    """Sends `modem.execute_run` by name."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        connection = app.connection_for_write()
        self._broker_errors: tuple[type[BaseException], ...] = (
            KombuError,
            OSError,
            *connection.connection_errors,
            *connection.channel_errors,
        )

    async def publish(self, job: RunJob) -> None:
        """Hand a job to the broker; a broker that does not take it is logged, the run stays pending."""
        try:
            await asyncio.to_thread(self._send, job)
        except self._broker_errors:
            _log.exception("the broker did not take the job of run %s", job.run_id)

    def _send(self, job: RunJob) -> None:
        self._app.send_task(EXECUTE_RUN_TASK, args=[job.thread_id, job.run_id], expires=JOB_EXPIRES_SECONDS)
