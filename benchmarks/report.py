"""How a figure is printed: a table for a person, one JSON line for a machine."""

import json
import math
import sys
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` (0 to 1) of all lie, by the nearest-rank method."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def report(title: str, rows: Sequence[tuple[str, str, str]], figures: Mapping[str, float]) -> None:
    """Print rows of (what, measured, aim or baseline) and the same figures as JSON."""
    table = Table(title=title, title_justify="left")
    for column in ("figure", "measured", "aim / baseline"):
        table.add_column(column)
    for row in rows:
        table.add_row(*row)
    Console(width=120).print(table)
    sys.stdout.write(json.dumps({"benchmark": title, **{name: round(value, 4) for name, value in figures.items()}}))
    sys.stdout.write("\n")
    sys.stdout.flush()
