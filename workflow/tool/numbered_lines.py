"""Lines with their numbers, as `cat -n` shows them."""

from collections.abc import Sequence


def numbered(lines: Sequence[str], first_number: int) -> str:
    """Return the lines, each after its number and a tab."""
    return "\n".join(f"{number:>6}\t{line}" for number, line in enumerate(lines, first_number))
