"""`python -m tests.checks`: the project's own rules about its source, on one parse of every file."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.checks.rules import RULES, Source

_PACKAGES = ("baud", "gateway", "modem", "shared", "workflow", "tests", "benchmarks")


def _sources(root: Path) -> Iterator[Source]:
    for package in _PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            name = path.relative_to(root)
            if "template" in name.parts:
                continue
            text = path.read_text()
            yield Source(str(name), text, ast.parse(text))


def main() -> int:
    """Print what breaks a rule; return 1 if anything does."""
    broken = [
        f"{source.name}{finding}"
        for source in _sources(Path(__file__).parents[2])
        for rule in RULES
        for finding in rule(source)
    ]
    for line in broken:
        sys.stdout.write(line + "\n")
    sys.stdout.write(f"own checks: {len(broken)} findings\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
