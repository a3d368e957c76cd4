"""Which paths of a listing match a glob, and which folders are left out because nobody means them."""

from collections.abc import Callable, Sequence
from typing import Final

import bracex
from wcmatch import glob

from workflow.errors import ToolError

NOISE: Final = (".git", "node_modules", ".baud")  # huge or internal; seen only by those who name them

_FLAGS: Final = glob.GLOBSTAR | glob.DOTGLOB | glob.FORCEUNIX
_MAX_ALTERNATIVES: Final = 200  # what `{a,b}` may expand to; `{1..1000000}` is a mistake


def path_matcher(patterns: Sequence[str], *, any_depth: bool = False) -> Callable[[str], bool]:
    """Return whether a relative path matches one of the globs (`*`, `?`, `[a-z]`, `{a,b}`, `**`).

    With `any_depth` a pattern without a slash is held against the last part of the path, wherever it is.
    """
    if not patterns:
        return lambda path: False
    flags = _FLAGS | glob.MATCHBASE if any_depth else _FLAGS
    try:
        plain = [each for pattern in patterns for each in bracex.expand(pattern, limit=_MAX_ALTERNATIVES)]
    except bracex.ExpansionLimitException as error:
        raise ToolError(f"The glob {', '.join(patterns)} stands for too many patterns; use * instead.") from error
    matcher = glob.compile([each.removesuffix("/") for each in plain], flags=flags, limit=0)
    return lambda path: bool(matcher.match(path))


def noise_besides(*named: str) -> frozenset[str]:
    """Return the folder names to leave out, except those that a path or pattern names itself."""
    parts = {part for text in named for part in text.split("/")}
    return frozenset(NOISE) - parts


def ancestors(path: str) -> list[str]:
    """Return the folders that hold the path, outermost first: `a/b/c` gives `a`, `a/b`."""
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]
