"""Cancels a task of third-party code and waits for a bounded time; one that swallows cancellation is abandoned."""

import asyncio
from typing import Any

# Keeps a reference: asyncio may garbage-collect a running task that has none.
_abandoned: set[asyncio.Task[Any]] = set()


async def end_task(task: asyncio.Task[Any], *, grace_seconds: float) -> bool:
    """Cancel a task and wait for its end; False when it still runs after the grace period."""
    _abandoned.add(task)
    task.add_done_callback(_forget)
    task.cancel()
    await asyncio.wait((task,), timeout=grace_seconds)
    return task.done()


def _forget(task: asyncio.Task[Any]) -> None:
    _abandoned.discard(task)
    if not task.cancelled():
        task.exception()  # mark as retrieved: nobody awaits it
