"""The legacy Celery task `main.process_flow_data`: one JSON text, published by outside producers."""

import logging

from celery import Celery
from celery.exceptions import Reject

from modem.service.dead_letter_box import DeadLetterBox
from modem.service.event_loop import LoopThread
from modem.service.legacy import accept_flow
from modem.service.runtime import Runtime
from modem.type.flow_type import read_flow
from shared.broker.message import QueueMessage
from shared.errors import UnavailableError, UnreadableMessageError
from shared.ids import new_id
from shared.keys import LEGACY_TASK

_log = logging.getLogger(__name__)


def register_legacy_task(app: Celery, loop: LoopThread, runtime: Runtime, letters: DeadLetterBox) -> None:
    """Register the task with the Celery app."""

    @app.task(name=LEGACY_TASK, shared=False)
    def process_flow_data(json_text: str) -> None:
        try:
            request = read_flow(json_text)
            loop.call(accept_flow(request, runtime.services, runtime.threads))
        except UnavailableError as error:
            raise Reject(error, requeue=True) from error
        except UnreadableMessageError as error:
            letters.put_aside_task(app.conf.task_default_queue, _message_of(json_text), error.message)
        except Exception as error:  # noqa: BLE001 - edge of the task: a message that fails is kept as a dead letter
            _log.exception("a legacy message could not be processed")
            reason = f"it could not be carried out: {type(error).__name__}"
            letters.put_aside_task(app.conf.task_default_queue, _message_of(json_text), reason)


def _message_of(json_text: str) -> QueueMessage:
    return QueueMessage(task=LEGACY_TASK, task_id=new_id(), arguments=(json_text,), embed={}, delivery_tag=new_id())
