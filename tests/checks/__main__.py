"""`python -m tests.checks`: the project's own rules, on one parse of every source file, and its generated files."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from scripts import make_sync_client
from tests.checks.rules import RULES, Source

_PACKAGES = ("baud", "gateway", "modem", "shared", "workflow", "scripts", "distributions", "tests", "benchmarks")


def _sources(root: Path) -> Iterator[Source]:
    for package in _PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            name = path.relative_to(root)
            if "template" in name.parts:
                continue
            text = path.read_text()
            yield Source(str(name), text, ast.parse(text))


def _stale_files(root: Path) -> Iterator[str]:
    """Yield what is wrong with a generated file: it was edited by hand, or what it is made from has changed."""
    try:
        made = make_sync_client.synchronous(make_sync_client.read_sources())
    except make_sync_client.NotConvertibleError as error:
        yield f"the synchronous client cannot be made: {error}"
        return
    for target, text in made.items():
        if not target.exists() or text != target.read_text("utf-8"):
            yield f"{target.relative_to(root)}: is not what it is made from; run `{make_sync_client.HOW}`"


def main() -> int:
    """Print what breaks a rule; return 1 if anything does."""
    root = Path(__file__).parents[2]
    broken = [f"{source.name}{finding}" for source in _sources(root) for rule in RULES for finding in rule(source)]
    broken += _stale_files(root)
    for line in broken:
        sys.stdout.write(line + "\n")
    sys.stdout.write(f"own checks: {len(broken)} findings\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
