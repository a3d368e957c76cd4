"""Background tasks of a worker that must not end: one that ends is logged and restarted."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final

_log = logging.getLogger(__name__)

# Short, since runs lose their leases without the lease keeper; long enough for a lasting fault not to fill the log.
_PAUSE_SECONDS: Final = 1.0
_CANCEL_AGAIN_SECONDS: Final = 0.2


async def run_forever(
    name: str, work: Callable[[], Coroutine[Any, Any, None]], *, pause_seconds: float = _PAUSE_SECONDS
) -> None:
    """Run and restart a task until cancelled; `name` is logged when it ends."""
    while True:
        task = asyncio.create_task(work(), name=name)
        try:
            await asyncio.wait([task])
        finally:
            await _cancel(task)
        # A task that was cancelled from within has no exception.
        error = None if task.cancelled() else task.exception()
        _log.error("a background task of the worker failed; restarting it: %s", name, exc_info=error)
        await asyncio.sleep(pause_seconds)


async def _cancel(task: asyncio.Task[None]) -> None:
    """Cancel until it has ended: a library that is opening a connection may swallow a cancellation."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_CANCEL_AGAIN_SECONDS)
