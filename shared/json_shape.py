"""How deep a JSON value is nested and how many values it holds, found without recursion, stopping at the limits."""

from collections.abc import Sequence
from typing import Any


def shape_fault(value: Any, *, max_depth: int, max_values: int) -> str | None:
    """Return how a value exceeds the limits, as the predicate of a sentence; None when it does not."""
    level, depth, values = [value] if isinstance(value, list | dict) else [], 0, 1
    while level:
        depth += 1
        if depth > max_depth:
            return f"is nested deeper than {max_depth} levels"
        below: list[Any] = []
        for each in level:
            items: Sequence[Any] = list(each.values()) if isinstance(each, dict) else each
            values += len(items)
            if values > max_values:
                return f"holds more than {max_values:,} values"
            below += [item for item in items if isinstance(item, list | dict)]
        level = below
    return None
