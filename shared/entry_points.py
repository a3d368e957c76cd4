"""What installed distributions add to Baud: the entry points of a group, and what loading one may raise."""

from importlib.metadata import EntryPoint, entry_points
from typing import Final

# Not KeyboardInterrupt or SystemExit: a bad plug-in is reported, it does not decide how the process ends.
LOADING_FAILURES: Final = (
    ImportError, SyntaxError, NameError, AttributeError, TypeError, ValueError, LookupError, RuntimeError, OSError,
    AssertionError,
)  # fmt: skip


def installed(group: str) -> tuple[EntryPoint, ...]:
    """Return the entry points of a group, by name; nothing is imported."""
    return tuple(sorted(entry_points(group=group), key=lambda point: point.name))


def origin(point: EntryPoint) -> str:
    """Return the distribution of an entry point and the location of its object."""
    distribution = point.dist.name if point.dist else "an unnamed distribution"
    return f"{distribution} ({point.value})"
