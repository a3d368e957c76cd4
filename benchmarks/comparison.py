"""Compares the figures of two commits; a difference inside the range of either is no change."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

NO_CHANGE: Final = "no change"


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure of both commits: all measurements and the verdict."""

    name: str
    before: Sequence[float]
    after: Sequence[float]

    @property
    def ratio(self) -> float:
        """The median of today in units of the one before; 1 where there is nothing to divide by."""
        return median(self.after) / median(self.before) if median(self.before) else 1.0

    @property
    def verdict(self) -> str:
        """`no change` where the ranges overlap, else by how much the median is higher or lower."""
        if max(self.before) >= min(self.after) and max(self.after) >= min(self.before):
            return NO_CHANGE
        return f"{'higher' if median(self.after) > median(self.before) else 'lower'}: {self.ratio - 1:+.1%}"

    def row(self) -> tuple[str, str, str, str, str]:
        """Return the cells of a table: name, before, after, ratio, verdict."""
        return self.name, _spread(self.before), _spread(self.after), f"{self.ratio:.3f}", self.verdict


def read_figures(output: str) -> dict[str, float]:
    """Return the figures in what a benchmark printed; raises ValueError where it printed none."""
    figures: dict[str, float] = {}
    for line in output.splitlines():
        if line.startswith('{"benchmark"'):
            printed = json.loads(line)
            figures |= {name: float(value) for name, value in printed.items() if name != "benchmark"}
    if not figures:
        raise ValueError("the benchmark printed no figures")
    return figures


def compare(before: Iterable[Mapping[str, float]], after: Iterable[Mapping[str, float]]) -> list[Compared]:
    """Return each figure that every round of both commits has."""
    olds, news = list(before), list(after)
    names = [name for name in olds[0] if all(name in figures for figures in (*olds, *news))]
    return [Compared(name, [old[name] for old in olds], [new[name] for new in news]) for name in names]


def _spread(values: Sequence[float]) -> str:
    return f"{median(values):,.4g} ({min(values):,.4g} to {max(values):,.4g})"
