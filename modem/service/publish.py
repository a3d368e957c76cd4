"""Publishes jobs from inside a worker, where a failure costs only time."""

import logging
from typing import Final

from celery import Celery

from shared.broker.publisher import JobPublisher
from shared.contract.run import RunJob
from shared.errors import BrokerUnavailableError

# Enough for one try on a dead connection and one on a new one; the reaper publishes again what takes longer.
_TIMEOUT_SECONDS: Final = 10.0

_log = logging.getLogger(__name__)


class RunPublisher:
    """Sends `modem.execute_run` by name."""

    def __init__(self, app: Celery, *, timeout_seconds: float = _TIMEOUT_SECONDS) -> None:
        self._publisher = JobPublisher(app, timeout_seconds=timeout_seconds)

    async def publish(self, job: RunJob) -> None:
        """Publish a job; a failure is only logged: the run stays pending and the reaper publishes it again."""
        try:
            await self._publisher.publish(job)
        except BrokerUnavailableError:
            _log.exception("the broker did not take the job of run %s", job.run_id)

    def close(self) -> None:
        """Accept no more jobs; a thread that still waits for the broker ends with the process."""
        self._publisher.close()
