"""How long streamed text waits between two writes: pieces grow while writes are slow, for Redis or the loop is busy."""

from typing import Final

# A run that streams spends at most half of its time on writing. Longer pauses bring nothing, since runs share their
# round trips: with four times as long, one slow write was felt for a tenth of a second, and less got through.
_PAUSE_PER_WRITE: Final = 1.0
# Text that comes in jumps further apart no longer reads as a stream.
_LONGEST_SECONDS: Final = 0.25


def pause_seconds(interval_seconds: float, write_seconds: float) -> float:
    """Return the pause after a write that took so long; never less than the interval that is configured."""
    return max(interval_seconds, min(_PAUSE_PER_WRITE * write_seconds, _LONGEST_SECONDS))
