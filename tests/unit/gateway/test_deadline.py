"""A time limit that is lifted and set again with every request."""

import asyncio

from gateway.core.deadline import Deadline


class _Clock:
    """A loop's clock and timers, moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[_Timer] = []

    def time(self) -> float:
        return self.now

    def call_at(self, due: float, callback: object) -> "_Timer":
        self.timers.append(_Timer(due, callback))
        return self.timers[-1]

    def move_to(self, now: float) -> None:
        self.now = now
        for timer in tuple(self.timers):
            if timer.due <= now and not timer.is_cancelled:
                self.timers.remove(timer)
                timer.callback()  # type: ignore[operator] # a callable of the deadline's own


class _Timer:
    """What call_at returns."""

    def __init__(self, due: float, callback: object) -> None:
        self.due = due
        self.callback = callback
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


def _deadline(clock: _Clock, expired: list[float]) -> Deadline:
    loop: asyncio.AbstractEventLoop = clock  # type: ignore[assignment] # it has what a deadline needs
    return Deadline(loop, lambda: expired.append(clock.now))


def test_many_limits_that_are_met_set_one_timer() -> None:
    clock, expired = _Clock(), list[float]()
    deadline = _deadline(clock, expired)
    for moment in range(10):
        clock.move_to(moment / 10)
        deadline.set(15)
        deadline.lift()
    assert len(clock.timers) == 1
    clock.move_to(100)
    assert expired == []


def test_a_limit_that_was_set_again_counts_from_then() -> None:
    clock, expired = _Clock(), list[float]()
    deadline = _deadline(clock, expired)
    deadline.set(15)
    clock.move_to(10)
    deadline.set(15)
    clock.move_to(15)
    assert expired == []
    clock.move_to(25)
    assert expired == [25]


def test_a_shorter_limit_replaces_a_longer_one() -> None:
    clock, expired = _Clock(), list[float]()
    deadline = _deadline(clock, expired)
    deadline.set(15)
    deadline.set(5)
    clock.move_to(5)
    assert expired == [5]
    deadline.set(5)
    deadline.close()
    clock.move_to(50)
    assert expired == [5]
