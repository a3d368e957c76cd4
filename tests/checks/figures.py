"""`python -m tests.checks.figures [COMMIT]`: the measured aims of the source as a table, and whether each is met.

COMMIT is what the number of lines is compared to. Product is all Python and Lua but tests, benchmarks and templates.
"""

import ast
import io
import statistics
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import grimp

from tests.checks.measures import (
    Edges,
    Sources,
    count_lines,
    function_lengths,
    is_crumb,
    modules_of,
    nested_cycles,
    percentile,
    repeated_classes,
    sibling_cycles,
)
from tests.checks.ways import CHAINS

_PACKAGES: Final = ("baud", "gateway", "modem", "shared", "workflow")
_NOT_PRODUCT: Final = frozenset({"tests", "benchmarks", "scripts", "docs", "template"})
_MAX_FILE_LINES: Final = 250  # p95
_SHARE_OF_REFERENCE: Final = 0.9
_ROOT: Final = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table; `is_met` is None where there is no aim."""

    name: str
    value: str
    aim: str = ""
    is_met: bool | None = None

    @property
    def verdict(self) -> str:
        """Whether the aim is met, as a word."""
        return "" if self.is_met is None else "hit" if self.is_met else "MISS"


def is_product(path: str) -> bool:
    """Whether a path from the root is a source file of the product."""
    parts = PurePosixPath(path).parts
    return len(parts) > 1 and path.endswith((".py", ".lua")) and not _NOT_PRODUCT.intersection(parts[:-1])


def read_product(root: Path) -> dict[str, str]:
    """Return the product's sources in a folder."""
    found = (path for package in _PACKAGES for kind in ("py", "lua") for path in (root / package).rglob(f"*.{kind}"))
    named = ((path.relative_to(root).as_posix(), path) for path in sorted(found))
    return {name: path.read_text("utf-8") for name, path in named if is_product(name)}


def read_commit(root: Path, commit: str) -> dict[str, str] | None:
    """Return the product's sources in a commit; None where the history does not hold it."""
    command = ["git", "archive", "--format=tar", f"{commit}^{{commit}}"]
    try:
        made = subprocess.run(command, cwd=root, capture_output=True, check=True)
    except (subprocess.CalledProcessError, FileNotFoundError):
        return None
    found: dict[str, str] = {}
    with tarfile.open(fileobj=io.BytesIO(made.stdout)) as archive:
        for member in archive:
            file = archive.extractfile(member) if is_product(member.name) else None
            if file is not None:
                found[member.name] = file.read().decode("utf-8")
    return found


def read_imports() -> dict[str, set[str]]:
    """Return what each module of the product imports of the product."""
    graph = grimp.build_graph(*_PACKAGES, cache_dir=None)
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}


def measure(sources: Sources, reference: Sources | None, commit: str, root: Path = _ROOT) -> list[Figure]:
    """Return the figures of the product."""
    trees = modules_of(sources)
    return [*_sizes(sources, trees, reference, commit), *_shape(trees, read_imports()), *_ways(root)]


def _sizes(
    sources: Sources, trees: Mapping[str, ast.Module], reference: Sources | None, commit: str
) -> Iterator[Figure]:
    lines = [sources[path].count("\n") for path in trees]
    functions = function_lengths(trees.values())
    p95 = percentile(lines, 0.95)
    yield Figure("product modules", str(len(trees)))
    yield Figure(
        "lines of a file: median / p95 / most",
        f"{statistics.median(lines):g} / {p95} / {max(lines)}",
        f"p95 <= {_MAX_FILE_LINES}",
        p95 <= _MAX_FILE_LINES,
    )
    yield Figure(
        "lines of a function: median / p95", f"{statistics.median(functions):g} / {percentile(functions, 0.95)}"
    )
    now = count_lines(sources)
    if reference is None:
        yield Figure("product lines", f"{now:,} ({commit} is not in the history)")
        return
    then = count_lines(reference)
    yield Figure(
        f"product lines / in {commit}",
        f"{now:,} / {then:,} ({now / then - 1:+.1%})",
        "a tenth fewer",
        now <= _SHARE_OF_REFERENCE * then,
    )


def _shape(trees: Mapping[str, ast.Module], imports: Edges) -> Iterator[Figure]:
    repeated, cycles = repeated_classes(trees.values()), sibling_cycles(imports)
    yield Figure("modules of at most one class and one function", str(sum(map(is_crumb, trees.values()))))
    yield Figure("class names that exist twice", ", ".join(repeated) or "none", "none", not repeated)
    shown = "; ".join(" > ".join(cycle) for cycle in cycles)
    yield Figure("cycles between the parts of a folder", shown or "none", "none", not cycles)
    yield Figure("folders in a cycle with the folder around them", str(len(nested_cycles(imports))))


def _ways(root: Path) -> Iterator[Figure]:
    for chain in CHAINS:
        files, broken = chain.files(), list(chain.broken_links(root))
        value = "; ".join(broken) if broken else str(len(files))
        yield Figure(f"files to follow {chain.title}", value, f"<= {chain.aim}", not broken and len(files) <= chain.aim)


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as lines of text in columns."""
    rows = [("figure", "value", "aim", ""), *((each.name, each.value, each.aim, each.verdict) for each in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "".join(
        f"{name:<{widths[0]}}  {value:<{widths[1]}}  {aim:<{widths[2]}}  {verdict}".rstrip() + "\n"
        for name, value, aim, verdict in rows
    )


def main(arguments: Sequence[str]) -> int:
    """Print the table and what it counts; return 0 whether aims are met or not."""
    commit = arguments[0] if arguments else "HEAD"
    sys.stdout.write(table(measure(read_product(_ROOT), read_commit(_ROOT, commit), commit)))
    lists = {f"to follow {chain.title}": chain.files() for chain in CHAINS}
    lists["folders in a cycle with the folder around them"] = nested_cycles(read_imports())
    for title, lines in lists.items():
        sys.stdout.write("\n  ".join((f"\n{title}:", *lines)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
