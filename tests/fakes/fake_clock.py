"""FakeClock: the Clock port; time stands still until it is moved."""

from datetime import UTC, datetime, timedelta

from shared.clock import SystemClock


class FakeClock(SystemClock):
    """Begins at a fixed moment; `advance` moves the time of day and the monotonic time alike."""

    def __init__(self, start: datetime = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) -> None:
        self._now = start
        self._monotonic = 1000.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds
