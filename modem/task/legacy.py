"""The legacy Celery task `main.process_flow_data`: one JSON text, published by outside producers."""

import logging

from celery import Celery
from celery.exceptions import Reject
from pydantic import ValidationError

from modem.core.loop import LoopThread
from modem.core.runtime import Runtime
from modem.service.accept_flow import accept_flow
from modem.type.flow_type import ProcessFlowDataRequest
from shared.errors import UnavailableError
from shared.keys import LEGACY_TASK

_log = logging.getLogger(__name__)


def register_legacy_task(app: Celery, loop: LoopThread, runtime: Runtime) -> None:
    """Make the task known to the app."""

    @app.task(name=LEGACY_TASK, shared=False)
    def process_flow_data(json_text: str) -> None:
        try:
            request = ProcessFlowDataRequest.read(json_text)
            loop.call(accept_flow(request, runtime.services, runtime.threads))
        except ValidationError as error:
            _log.error("a legacy message cannot be read and is dropped: %s", error.errors(include_input=False))
        except ValueError as error:
            _log.error("a legacy message cannot be read and is dropped: %s", error)
        except UnavailableError as error:
            raise Reject(error, requeue=True) from error
