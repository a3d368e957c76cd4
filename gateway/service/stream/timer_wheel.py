"""One timer for all streams of a gateway: a deadline costs an entry in a set, not a task or a timer of the loop."""

import asyncio
import heapq
from collections.abc import Callable
from typing import Final

_TICK_SECONDS: Final = 0.02
# So many are woken before the loop gets a turn, so that streams opened in one rush do not stall the others together.
_AT_ONCE: Final = 32


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
        self._order: list[int] = []  # heap of the slots that there are
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_slot = 0

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
        self._wind()

    def discard(self, timer: Timer, slot: int) -> None:
        """Forget a timer."""
        self._slots.get(slot, set()).discard(timer)

    def _wind(self) -> None:
        slot = self._order[0]
        if self._alarm is not None and self._alarm_slot > slot:
            self._alarm.cancel()
            self._alarm = None
        if self._alarm is None:
            self._alarm = asyncio.get_running_loop().call_at(slot * _TICK_SECONDS, self._tick)
            self._alarm_slot = slot

    def _tick(self) -> None:
        self._alarm = None
        current = int(asyncio.get_running_loop().time() / _TICK_SECONDS)
        room = _AT_ONCE
        try:
            while room and self._order and self._order[0] <= current:
                room = self._empty(self._order[0], room)
        finally:
            if self._order:
                self._wind()

    def _empty(self, slot: int, room: int) -> int:
        timers = self._slots[slot]
        while timers and room:
            room -= 1
            timers.pop().fire()
        if not timers:
            del self._slots[slot]
            heapq.heappop(self._order)
        return room
