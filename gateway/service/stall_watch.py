"""Cuts the connection of a client that takes nothing for too long."""

import asyncio
from typing import Final, Protocol

from gateway.service.timer_wheel import TimerWheel

_LOOKS_PER_LIMIT: Final = 4


class Wire(Protocol):
    """The connection to a client, below HTTP."""

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait to be taken by the client's side."""

    def abort(self) -> None:
        """Close at once; what waits is lost."""


class StallWatch:
    """Watches one connection while something is being sent; any byte taken is a sign of life."""

    def __init__(self, wheel: TimerWheel, wire: Wire, limit_seconds: float) -> None:
        self._wire = wire
        self._limit = limit_seconds
        self._now = asyncio.get_running_loop().time
        self._timer = wheel.timer(self._look)
        self._is_sending = False
        self._waiting_bytes = 0
        self._taken_at = 0.0
        self.has_cut = False

    def begin(self) -> None:
        """Note that something is being sent."""
        self._is_sending = True
        self._taken_at = self._now()
        self._waiting_bytes = self._wire.get_write_buffer_size()
        self._set_timer()

    def end(self) -> None:
        """Note that it was taken; the timer finds out for itself, so that a send costs next to nothing."""
        self._is_sending = False

    def close(self) -> None:
        """Watch no longer."""
        self._timer.stop()

    def _set_timer(self) -> None:
        self._timer.set(self._now() + self._limit / _LOOKS_PER_LIMIT)

    def _look(self) -> None:
        if not self._is_sending:
            return
        waiting_bytes = self._wire.get_write_buffer_size()
        if waiting_bytes < self._waiting_bytes:
            self._taken_at = self._now()
        self._waiting_bytes = waiting_bytes
        if self._now() - self._taken_at < self._limit:
            self._set_timer()
            return
        self.has_cut = True
        self._wire.abort()
