"""Lets runs that arrive go ahead of text that streams: who has just asked is the one who waits."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# So long may a rush of new runs hold up the text of others; then both take their turns until the rush is over.
_MOST_SECONDS: Final = 0.25


class PriorityGate:
    """Knows whether runs of this process wait for their claim or their first event. Belongs to the event loop."""

    def __init__(self) -> None:
        self._count = 0
        self._is_clear = asyncio.Event()
        self._is_clear.set()
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def priority(self) -> Iterator[None]:
        """Go ahead inside the block."""
        if not self._count:
            self._is_clear.clear()
            self._timer = asyncio.get_running_loop().call_later(_MOST_SECONDS, self._is_clear.set)
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1
            if not self._count and self._timer is not None:
                self._timer.cancel()
                self._is_clear.set()

    async def yield_to_new_runs(self) -> None:
        """Return when nothing arrives, or has for too long."""
        while not self._is_clear.is_set():
            await self._is_clear.wait()
