"""The pause between two writes of streamed text: longer, so with larger pieces, while writes are slow."""

from typing import Final

# A streaming run spends at most half of its time on writing. Longer pauses do not help, since runs share round trips:
# with a factor of four, one slow write delayed text by a tenth of a second, and throughput fell.
_PAUSE_PER_WRITE: Final = 1.0
# With longer pauses the text no longer reads as a stream.
_LONGEST_SECONDS: Final = 0.25


def pause_seconds(interval_seconds: float, write_seconds: float) -> float:
    """Return the pause after a write that took `write_seconds`; never less than the configured interval."""
    return max(interval_seconds, min(_PAUSE_PER_WRITE * write_seconds, _LONGEST_SECONDS))
