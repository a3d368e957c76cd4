"""The time of day, a monotonic clock, and the format of a time."""

import time
from datetime import UTC, datetime


class SystemClock:
    """The clock of this machine; components take it as a parameter, tests pass a fake."""

    def now(self) -> datetime:
        """Return the time of day, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that never go back; only differences mean anything."""
        return time.monotonic()


def isoformat(moment: datetime) -> str:
    """Return ISO 8601 in UTC with microseconds and the offset +00:00, so that texts sort as times do.

    Raises ValueError for a time without a zone.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone; pass an aware datetime, such as datetime.now(UTC)")
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
