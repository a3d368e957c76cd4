"""The folders that searches leave out by default, and the parent folders of a path."""

from typing import Final

NOISE: Final = (".git", "node_modules", ".baud")  # huge or internal; searched only where they are named


def noise_besides(*named: str) -> frozenset[str]:
    """Return the folder names to leave out, except those that a path or pattern names itself."""
    parts = {part for text in named for part in text.split("/")}
    return frozenset(NOISE) - parts


def ancestors(path: str) -> list[str]:
    """Return the folders that hold the path, outermost first: `a/b/c` gives `a`, `a/b`."""
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]
