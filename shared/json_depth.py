"""How deep a JSON value is nested, found without recursion."""

from collections.abc import Iterable
from typing import Any


def is_deeper_than(value: Any, limit: int) -> bool:
    """Whether lists and objects stand in each other on more than `limit` levels."""
    level: list[Any] = [value]
    depth = 0
    while level := [item for each in level for item in _items(each) if isinstance(item, list | dict)]:
        depth += 1
        if depth >= limit:
            return True
    return False


def _items(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
