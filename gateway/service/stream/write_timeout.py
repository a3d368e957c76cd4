"""Cuts the connection of a client that takes nothing for too long."""

import asyncio
from contextlib import suppress
from typing import Final, Protocol

from gateway.service.stream.timer_wheel import TimerWheel

_CHECKS_PER_LIMIT: Final = 4


class Wire(Protocol):
    """The connection to a client, below HTTP."""

    def get_write_buffer_size(self) -> int:
        """Return how many bytes are unsent."""

    def set_write_buffer_limits(self, high: int) -> None:
        """Pause writers while more than this is unsent."""

    def abort(self) -> None:
        """Close at once; unsent bytes are lost."""


class WriteTimeout:
    """Watches one connection while something is being sent; any byte taken counts as progress."""

    __slots__ = (
        "_is_sending", "_is_set", "_last_sent", "_last_waiting", "_limit", "_sent", "_taken_at", "_timer", "_wire"
    )  # fmt: skip

    def __init__(self, wheel: TimerWheel, wire: Wire, limit_seconds: float) -> None:
        self._wire = wire
        self._limit = limit_seconds
        self._timer = wheel.timer(self._check)
        self._is_set = False
        self._is_sending = False
        self._sent = 0
        self._last_sent = self._last_waiting = 0
        self._taken_at = 0.0

    def pause_sender_above(self, *, max_bytes: int) -> None:
        """Pause the sender while more than `max_bytes` are unsent."""
        with suppress(RuntimeError):  # uvloop raises it for a closed connection
            self._wire.set_write_buffer_limits(high=max_bytes)

    def begin(self) -> None:
        """Note that something is being sent; cheap, because only the timer checks the wire."""
        self._is_sending = True
        self._sent += 1
        if not self._is_set:
            self._note_progress()
            self._set_timer()

    def end(self) -> None:
        """Note that it was taken."""
        self._is_sending = False

    def close(self) -> None:
        """Watch no longer."""
        self._timer.stop()

    def _set_timer(self) -> None:
        self._is_set = True
        self._timer.set(asyncio.get_running_loop().time() + self._limit / _CHECKS_PER_LIMIT)

    def _note_progress(self) -> bool:
        """Whether anything was taken since the last check: a send completed, or fewer bytes are unsent.

        More unsent bytes say nothing about the client: the server itself adds pings and pongs.
        """
        waiting = self._wire.get_write_buffer_size()
        has_moved = self._sent != self._last_sent or waiting < self._last_waiting
        self._last_sent, self._last_waiting = self._sent, waiting
        if has_moved:
            self._taken_at = asyncio.get_running_loop().time()
        return has_moved

    def _check(self) -> None:
        self._is_set = False
        if not self._is_sending:
            return
        if self._note_progress() or asyncio.get_running_loop().time() - self._taken_at < self._limit:
            self._set_timer()
        else:
            self._wire.abort()
