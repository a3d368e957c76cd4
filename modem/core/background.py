"""Background work of a worker that must not end: what fails is logged and begins again."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final

_log = logging.getLogger(__name__)

# Runs lose their leases if their keeper stays away for long; a fault that stays must not fill the log either.
_PAUSE_SECONDS: Final = 1.0
_CANCEL_AGAIN_SECONDS: Final = 0.2


async def run_forever(
    name: str, work: Callable[[], Coroutine[Any, Any, None]], *, pause_seconds: float = _PAUSE_SECONDS
) -> None:
    """Carry out endless work until cancelled; `name` stands in the log when it fails."""
    while True:
        task = asyncio.create_task(work(), name=name)
        try:
            await asyncio.wait([task])
        finally:
            await _cancel(task)
        # One that was cancelled from within has no exception to ask for.
        error = None if task.cancelled() else task.exception()
        _log.error("a background task of the worker failed and begins again: %s", name, exc_info=error)
        await asyncio.sleep(pause_seconds)


async def _cancel(task: asyncio.Task[None]) -> None:
    """Cancel until it has ended: a library that is just opening a connection can swallow a cancellation."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_CANCEL_AGAIN_SECONDS)
