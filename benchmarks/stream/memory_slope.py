"""How the memory of processes changes over time: samples, and the straight line through them."""

import asyncio
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import psutil

_EVERY_SECONDS: Final = 2.0
_WARM_UP: Final = 0.25  # share of the samples in which caches fill
_LEAST_SAMPLES: Final = 8


@dataclass(frozen=True, slots=True)
class Slope:
    """The straight line through the samples after the warm-up."""

    first_mb: float
    last_mb: float
    mb_per_hour: float
    growth_mb: float  # along the line, over the time that was measured


def slope(samples: Sequence[tuple[float, float]]) -> Slope:
    """Return the line through (seconds, megabytes)."""
    kept = samples[int(len(samples) * _WARM_UP) :]
    if len(kept) < _LEAST_SAMPLES:
        raise RuntimeError(f"{len(kept)} samples are too few for a slope; measure longer")
    seconds, megabytes = zip(*kept, strict=True)
    line = statistics.linear_regression(seconds, megabytes)
    return Slope(megabytes[0], megabytes[-1], line.slope * 3600, line.slope * (seconds[-1] - seconds[0]))


@dataclass(frozen=True, slots=True)
class MemoryWatch:
    """Samples the resident memory of some processes until it is cancelled."""

    processes: Mapping[str, psutil.Process]
    samples: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    async def run(self) -> None:
        """Sample for ever."""
        while True:
            for name, process in self.processes.items():
                now = time.monotonic(), process.memory_info().rss / 1e6
                self.samples.setdefault(name, []).append(now)
            await asyncio.sleep(_EVERY_SECONDS)

    def slopes(self) -> dict[str, Slope]:
        """Return the line of each process."""
        return {name: slope(samples) for name, samples in self.samples.items()}
