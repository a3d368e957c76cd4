"""When streamed text is written: after what new runs wait for, and less often while writes are behind."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# New runs may hold up the text of others for at most this long; then neither has priority until the rush is over.
_MAX_SECONDS: Final = 0.25
# One run alone for at most this long: the claim of a long conversation takes longer.
_MAX_SECONDS_EACH: Final = 0.05
# A run with so many pieces waiting when a write ends is faster than its writes: it streams as fast as it can, or Redis
# or this process is behind. Then larger writes cost less. A slower one needs no pause: runs share round trips, one is
# under way at a time, and what comes meanwhile goes together with the next.
_MANY_PIECES: Final = 4
_PAUSE_SECONDS: Final = 0.025
# While behind, a run spends at most half of its time on writing; with longer pauses text no longer reads as a stream.
_MAX_PAUSE_SECONDS: Final = 0.25


class PriorityGate:
    """Closed while somebody waits for the claim or first event of a new run. Belongs to the event loop."""

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


def pause_seconds(interval_seconds: float, write_seconds: float, waiting_pieces: int) -> float:
    """Return the pause after a write that took `write_seconds`; never less than the configured interval."""
    if waiting_pieces < _MANY_PIECES:
        return interval_seconds
    return max(interval_seconds, min(max(write_seconds, _PAUSE_SECONDS), _MAX_PAUSE_SECONDS))
