"""Ends a task of foreign code, within a bound: what swallows its cancellation is left to itself."""

import asyncio
from typing import Any

# Nothing else refers to what was left to itself, and a task without a reference may be collected in mid-work.
_left: set[asyncio.Task[Any]] = set()


async def end_task(task: asyncio.Task[Any], *, grace_seconds: float) -> bool:
    """Cancel a task and wait for its end; False when it still works after the grace."""
    _left.add(task)
    task.add_done_callback(_forget)
    task.cancel()
    await asyncio.wait((task,), timeout=grace_seconds)
    return task.done()


def _forget(task: asyncio.Task[Any]) -> None:
    _left.discard(task)
    if not task.cancelled():
        task.exception()  # nobody waits for it any more
