"""Drain on SIGTERM, in bounded time: active runs are handed over, then the process exits, whatever hangs.

Celery's own handler stops the consumer, but it runs on the main thread, which may be stuck waiting for the broker.
Python's signal wake-up file descriptor notifies the event loop without the main thread.
"""

import asyncio
import logging
import os
import signal
import socket
import threading
from types import TracebackType
from typing import Final, Self

from modem.service.event_loop import LoopThread
from modem.service.runtime import Runtime

_log = logging.getLogger(__name__)

_STOP_SIGNALS: Final = frozenset({signal.SIGTERM, signal.SIGINT})
# For Celery and open connections to close once the runs are handed over.
_GRACE_SECONDS: Final = 5.0


class DrainOnSignal:
    """Inside the `with` block, a stop signal drains the runtime. Enter it on the main thread."""

    def __init__(self, loop: LoopThread, runtime: Runtime, *, timeout_seconds: float) -> None:
        self._loop = loop
        self._runtime = runtime
        self._timeout_seconds = timeout_seconds
        self._signal_reader, self._signal_writer = socket.socketpair()
        self._signal_reader.setblocking(False)
        self._signal_writer.setblocking(False)

    def __enter__(self) -> Self:
        signal.set_wakeup_fd(self._signal_writer.fileno(), warn_on_full_buffer=False)
        self._loop.submit(self._watch())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(-1)
        self._signal_writer.close()

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while not _STOP_SIGNALS.intersection(received := await loop.sock_recv(self._signal_reader, 64)):
            if not received:
                return  # the worker ended by itself
        await self._drain()

    async def _drain(self) -> None:
        _exit_after(self._timeout_seconds + 2 * _GRACE_SECONDS)  # even if this loop hangs, or ends before its threads
        try:
            async with asyncio.timeout(self._timeout_seconds + _GRACE_SECONDS):
                await self._runtime.drain()
        except TimeoutError:
            _log.error("some runs could not be handed over in time; others take them over when their leases expire")
        _exit_after(_GRACE_SECONDS)


def _exit_after(seconds: float) -> None:
    """End the process if it still runs after this long, for example because the broker does not answer.

    The timer is a daemon thread: it outlives the event loop, and the interpreter does not wait for it at exit.
    """
    timer = threading.Timer(seconds, _exit)
    timer.daemon = True
    timer.start()


def _exit() -> None:
    _log.warning("the worker did not stop in time; ending the process")
    os._exit(os.EX_OK)
