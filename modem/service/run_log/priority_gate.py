"""Gives new runs priority over streamed text: somebody waits for their first event."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# New runs may hold up the text of others for at most this long; then neither has priority until the rush is over.
_MAX_SECONDS: Final = 0.25
# One run alone for at most this long: the claim of a long conversation takes longer.
_MAX_SECONDS_EACH: Final = 0.05


class PriorityGate:
    """Closed while runs of this process wait for their claim or their first event. Belongs to the event loop."""

    def __init__(self) -> None:
        self._arriving: set[object] = set()
        self._is_clear = asyncio.Event()
        self._is_clear.set()
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def priority(self) -> Iterator[None]:
        """Hold up streamed text inside the block."""
        loop, arrival = asyncio.get_running_loop(), object()
        if not self._arriving:
            self._is_clear.clear()
            self._timer = loop.call_later(_MAX_SECONDS, self._is_clear.set)
        self._arriving.add(arrival)
        end = loop.call_later(_MAX_SECONDS_EACH, self._end, arrival)
        try:
            yield
        finally:
            end.cancel()
            self._end(arrival)

    def _end(self, arrival: object) -> None:
        if arrival not in self._arriving:
            return
        self._arriving.discard(arrival)
        if not self._arriving and self._timer is not None:
            self._timer.cancel()
            self._is_clear.set()

    async def yield_to_new_runs(self) -> None:
        """Return once no run has priority, or after `_MAX_SECONDS`."""
        while not self._is_clear.is_set():
            await self._is_clear.wait()
