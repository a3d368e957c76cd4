"""One timer for all streams of a gateway: a deadline costs an entry in a set, not a task or a timer of the loop."""

import asyncio
import heapq
from collections.abc import Callable
from typing import Final

_TICK_SECONDS: Final = 0.02
# Timers that fire before the loop gets a turn, so that many streams opened at once do not block the others.
_BATCH_SIZE: Final = 32


class Timer:
    """Calls back once per `set`; made by a wheel."""

    __slots__ = ("_callback", "_slot", "_wheel")

    def __init__(self, wheel: "TimerWheel", callback: Callable[[], None]) -> None:
        self._wheel = wheel
        self._callback = callback
        self._slot: int | None = None

    def set(self, due_at: float) -> None:
        """Have the callback called at this time of the loop, or earlier if it was set for an earlier one already."""
        slot = self._wheel.slot_of(due_at)
        if self._slot is None or slot < self._slot:
            self.stop()
            self._slot = slot
            self._wheel.add(self, slot)

    def stop(self) -> None:
        """Call back no more."""
        if self._slot is not None:
            self._wheel.discard(self, self._slot)
            self._slot = None

    def fire(self) -> None:
        """Call back."""
        self._slot = None
        self._callback()


class TimerWheel:
    """Keeps timers by the tick in which they are due; the loop itself sees one timer, and none while nothing is due."""

    def __init__(self) -> None:
        self._slots: dict[int, set[Timer]] = {}
        self._order: list[int] = []  # heap of the used slots
        self._handle: asyncio.TimerHandle | None = None
        self._handle_slot = 0

    def timer(self, callback: Callable[[], None]) -> Timer:
        """Return a timer that is not set yet."""
        return Timer(self, callback)

    def slot_of(self, due_at: float) -> int:
        """Return the first tick that is not before this time."""
        return int(due_at / _TICK_SECONDS) + 1

    def add(self, timer: Timer, slot: int) -> None:
        """Keep a timer until its tick comes."""
        if slot not in self._slots:
            self._slots[slot] = set()
            heapq.heappush(self._order, slot)
        self._slots[slot].add(timer)
        self._schedule()

    def discard(self, timer: Timer, slot: int) -> None:
        """Forget a timer."""
        self._slots.get(slot, set()).discard(timer)

    def _schedule(self) -> None:
        slot = self._order[0]
        if self._handle is not None and self._handle_slot > slot:
            self._handle.cancel()
            self._handle = None
        if self._handle is None:
            self._handle = asyncio.get_running_loop().call_at(slot * _TICK_SECONDS, self._tick)
            self._handle_slot = slot

    def _tick(self) -> None:
        self._handle = None
        current = int(asyncio.get_running_loop().time() / _TICK_SECONDS)
        left = _BATCH_SIZE
        try:
            while left and self._order and self._order[0] <= current:
                left = self._fire_slot(self._order[0], left)
        finally:
            if self._order:
                self._schedule()

    def _fire_slot(self, slot: int, left: int) -> int:
        timers = self._slots[slot]
        while timers and left:
            left -= 1
            timers.pop().fire()
        if not timers:
            del self._slots[slot]
            heapq.heappop(self._order)
        return left
