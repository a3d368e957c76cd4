"""The Celery task `modem.execute_run`: parse the job, call one function, translate the error."""

from celery import Celery, Task

from modem.core.loop import LoopThread
from modem.service.execute_run import RunServices, execute_run
from shared.contract.run import RunJob
from shared.errors import UnavailableError
from shared.keys import EXECUTE_RUN_TASK

_RETRY_SECONDS = 2.0


def register_run_task(app: Celery, loop: LoopThread, services: RunServices) -> None:
    """Make the task known to the app."""

    @app.task(name=EXECUTE_RUN_TASK, bind=True, shared=False, max_retries=None)
    def execute(task: "Task[[str, str], None]", thread_id: str, run_id: str) -> None:
        job = RunJob(thread_id=thread_id, run_id=run_id)
        try:
            loop.call(execute_run(job, services))
        except UnavailableError as error:
            raise task.retry(exc=error, countdown=_RETRY_SECONDS) from error
