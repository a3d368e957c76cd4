"""A time limit that is set and lifted with every request, while the loop's timer is rarely replaced."""

import asyncio
from collections.abc import Callable


class Deadline:
    """Calls back once the time is over, unless it was lifted or set again."""

    def __init__(self, loop: asyncio.AbstractEventLoop, expire: Callable[[], None]) -> None:
        self._loop = loop
        self._expire = expire
        self._due: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0

    @property
    def is_set(self) -> bool:
        """Whether the limit is running."""
        return self._due is not None

    def set(self, seconds: float) -> None:
        """Start the limit now, whatever was set before."""
        self._due = self._loop.time() + seconds
        if self._timer is not None and self._timer_due > self._due:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._set_timer(self._due)

    def lift(self) -> None:
        """Stop the limit; the timer is kept for the next one."""
        self._due = None

    def close(self) -> None:
        """Stop the limit and the timer."""
        self._due = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self, due: float) -> None:
        self._timer_due = due
        self._timer = self._loop.call_at(due, self._check)

    def _check(self) -> None:
        self._timer = None
        if self._due is None:
            return
        if self._loop.time() < self._due:
            self._set_timer(self._due)
        else:
            self._due = None
            self._expire()
