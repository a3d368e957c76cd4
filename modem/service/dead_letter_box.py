"""Stores messages that no worker can process as dead letters: called on Celery's threads, written on the event loop."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Final

from modem.service.event_loop import LoopThread
from shared.broker.message import QueueMessage, read_envelope, read_message
from shared.clock import SystemClock, isoformat
from shared.contract.dead_letter import DeadLetter
from shared.errors import StoreUnavailableError, UnreadableMessageError
from shared.store.dead_letters import DeadLetterStore, dead_letter

# While Redis is down the worker could not claim a run either; a restart or a fail-over takes less.
_WRITE_TIMEOUT_SECONDS: Final = 20.0
_RETRY_SECONDS: Final = 0.5
_SHOWN_CHARS: Final = 200

_log = logging.getLogger(__name__)


class DeadLetterBox:
    """Its messages leave the queue for good, and are listed as dead letters with the reason."""

    def __init__(self, letters: DeadLetterStore, loop: LoopThread, *, worker_id: str, max_message_bytes: int) -> None:
        self._letters = letters
        self._loop = loop
        self._worker_id = worker_id
        self._max_bytes = max_message_bytes
        self._clock = SystemClock()

    def read_message(self, envelope: Mapping[str, Any]) -> QueueMessage:
        """Read a message that any broker brought. Raises UnreadableMessageError."""
        return read_message(envelope, max_bytes=self._max_bytes)

    def read(self, queue: str, raw: bytes) -> bytes | None:
        """Return a message of Redis as Celery may read it; None when it could not be read and was put aside."""
        try:
            return read_envelope(raw, max_bytes=self._max_bytes).envelope(queue)
        except UnreadableMessageError as error:
            self.put_aside(queue, raw, error.message)
            return None

    def put_aside(self, queue: str, raw: bytes, reason: str) -> None:
        """Keep a message and its reason; retries for a while when Redis does not answer."""
        at = isoformat(self._clock.now())
        letter = dead_letter(raw, reason, at=at, worker=self._worker_id, queue=queue)
        _log.error("a message of %s is put aside as dead letter %s: %s", queue, letter.id, reason)
        self._loop.call(self._write(letter))

    def put_aside_task(self, queue: str, message: QueueMessage, reason: str) -> None:
        """Keep a message that could be read, but not processed."""
        self.put_aside(queue, message.envelope(queue), reason)

    async def _write(self, letter: DeadLetter) -> None:
        try:
            async with asyncio.timeout(_WRITE_TIMEOUT_SECONDS):
                await self._write_with_retry(letter)
        except Exception:  # noqa: BLE001 - edge of the queue: a failed write must not end the worker
            _log.exception("dead letter %s could not be kept: %r", letter.id, letter.message[:_SHOWN_CHARS])

    async def _write_with_retry(self, letter: DeadLetter) -> None:
        while True:
            try:
                await self._letters.put(letter)
                return
            except StoreUnavailableError:
                await asyncio.sleep(_RETRY_SECONDS)
