"""Celery's consumer, for which no message is fatal: one that it cannot process is put aside and acknowledged."""

import base64
import json
import logging
from collections.abc import Callable
from typing import Any, Final

from celery.worker.consumer import Consumer

from modem.service.dead_letter_box import DeadLetterBox
from shared.broker.transport import COMPRESSION_HEADER, is_read_by_transport
from shared.errors import UnreadableMessageError

_UNREADABLE_BODY: Final = "the body cannot be read: "
_log = logging.getLogger(__name__)


class QueueConsumer(Consumer):
    """Passes to Celery only messages that were validated and rebuilt, whatever the broker."""

    connection_errors: tuple[type[BaseException], ...]  # the stubs leave both out
    channel_errors: tuple[type[BaseException], ...]

    def __init__(self, *arguments: Any, letters: DeadLetterBox, **options: Any) -> None:
        self._letters = letters
        super().__init__(*arguments, **options)

    def create_task_handler(self, *arguments: Any, **options: Any) -> Callable[[Any], None]:
        """Return what is called with each message."""
        handle = super().create_task_handler(*arguments, **options)
        passed_on = (*self.connection_errors, *self.channel_errors)

        def take(message: Any) -> None:
            try:
                if not is_read_by_transport(message.channel):
                    self._rebuild(message)
                handle(message)
            except passed_on:
                raise
            except UnreadableMessageError as error:
                self._put_aside(message, error.message)
            except Exception as error:  # noqa: BLE001 - edge of the queue: no message may end the worker
                _log.exception("Celery could not process a message")
                self._put_aside(message, f"Celery cannot take it: {type(error).__name__}")

        return take

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Put aside a message that kombu could not decode."""
        self._put_aside(message, f"{_UNREADABLE_BODY}{type(exc).__name__}")

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """Put aside a message that is not a task."""
        self._put_aside(message, "it is no message of a task")

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Put aside a task that is not registered."""
        self._put_aside(message, f"no task is called {str(message.headers.get('task'))[:100]!r}")

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Put aside a task that Celery calls invalid."""
        self._put_aside(message, f"Celery calls it invalid: {type(exc).__name__}")

    def _rebuild(self, message: Any) -> None:
        read = self._letters.read_message(_envelope_of(message))
        message.body, message.headers = read.body(), read.headers()
        message.content_type, message.content_encoding = "application/json", "utf-8"

    def _put_aside(self, message: Any, reason: str) -> None:
        queue = str(message.delivery_info.get("routing_key") or self.app.conf.task_default_queue)
        text = json.dumps(_envelope_of(message), default=str, skipkeys=True)
        self._letters.put_aside(queue, text.encode(), reason)
        if not message.acknowledged:
            message.ack_log_error(_log, self.connection_errors)


def _envelope_of(message: Any) -> dict[str, Any]:
    """Return a message of any broker in the format in which kombu writes it to a Redis list."""
    body = message.body or b""
    raw = body.encode() if isinstance(body, str) else bytes(body)
    headers = dict(message.headers)
    if COMPRESSION_HEADER in headers:
        headers["compression"] = headers.pop(COMPRESSION_HEADER)
    info = {name: message.delivery_info.get(name) for name in ("exchange", "routing_key")}
    return {
        "body": base64.b64encode(raw).decode(),
        "content-type": message.content_type,
        "content-encoding": message.content_encoding,
        "headers": headers,
        "properties": {
            "body_encoding": "base64",
            "delivery_info": info,
            "delivery_tag": str(message.delivery_tag),
            "priority": message.properties.get("priority"),
        },
    }
