"""The Celery task `modem.execute_run`: parse the job, call one function, translate the error."""

import logging

from celery import Celery
from celery.exceptions import Reject

from modem.service.event_loop import LoopThread
from modem.service.execute_run import RunServices, execute_run
from shared.contract.run import RunJob
from shared.errors import UnavailableError
from shared.keys import EXECUTE_RUN_TASK

_log = logging.getLogger(__name__)


def register_run_task(app: Celery, loop: LoopThread, services: RunServices) -> None:
    """Register the task with the Celery app."""

    @app.task(name=EXECUTE_RUN_TASK, shared=False)
    def execute(thread_id: str, run_id: str) -> None:
        job = RunJob(thread_id=thread_id, run_id=run_id)
        try:
            loop.call(execute_run(job, services))
        except UnavailableError as error:
            # Not a Celery retry: it acknowledges the message before the broker has accepted the new one.
            raise Reject(error, requeue=True) from error
        except Exception:  # noqa: BLE001 - edge of the task: Celery does not acknowledge every failure
            _log.exception("the job of run %s failed; the reaper will publish it again", run_id)
