"""Hand-over on SIGTERM, in bounded time: the runs leave this process, and then the process leaves, whatever hangs.

Celery's own handler stops the consumer, but it runs on the main thread, which may be stuck in a broker that
does not answer. Python's signal wake-up file descriptor tells the event loop without the main thread's help.
"""

import asyncio
import logging
import os
import signal
import socket
import threading
from types import TracebackType
from typing import Final, Self

from modem.core.loop import LoopThread
from modem.core.runtime import Runtime

_log = logging.getLogger(__name__)

_STOP_SIGNALS: Final = frozenset({signal.SIGTERM, signal.SIGINT})
# What Celery and open connections get to close in order once the runs are handed over.
_GRACE_SECONDS: Final = 5.0


class DrainOnSignal:
    """Inside the `with` block, which belongs to the main thread, a stop signal drains the runtime."""

    def __init__(self, loop: LoopThread, runtime: Runtime, *, patience_seconds: float) -> None:
        self._loop = loop
        self._runtime = runtime
        self._patience = patience_seconds
        self._heard, self._told = socket.socketpair()
        self._heard.setblocking(False)
        self._told.setblocking(False)

    def __enter__(self) -> Self:
        signal.set_wakeup_fd(self._told.fileno(), warn_on_full_buffer=False)
        self._loop.submit(self._watch())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(-1)
        self._told.close()

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while not _STOP_SIGNALS.intersection(received := await loop.sock_recv(self._heard, 64)):
            if not received:
                return  # the worker ended by itself
        await self._drain()

    async def _drain(self) -> None:
        _leave_in(self._patience + 2 * _GRACE_SECONDS)  # even if this loop hangs, or is gone before its threads are
        try:
            async with asyncio.timeout(self._patience + _GRACE_SECONDS):
                await self._runtime.drain()
        except TimeoutError:
            _log.error("some runs could not be handed over in time; their leases run out and others take them")
        _leave_in(_GRACE_SECONDS)


def _leave_in(seconds: float) -> None:
    """End a process that still stands after so long, for a broker that does not answer: its runs are in safety.

    The timer is a daemon thread: it outlives the event loop, and nothing at the end of the interpreter waits for it.
    """
    timer = threading.Timer(seconds, _leave)
    timer.daemon = True
    timer.start()


def _leave() -> None:
    _log.warning("the worker did not stop by itself; it is ended")
    os._exit(os.EX_OK)
