"""`make compare REF=… NAME=…`: one benchmark on another commit and on this work tree, in turns, on the same store."""

import shutil
import sys
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks.comparison import compare, read_figures
from tests.other_commit import HERE, Checkout, OtherCommitError, git, other_commit

FEWEST_ROUNDS: Final = 5  # fewer say nothing about the range
_RUN: Final = "import asyncio, importlib, sys; asyncio.run(importlib.import_module(sys.argv[1]).measure())"


class CompareError(Exception):
    """The comparison cannot be made; the message says why."""


def can_import(side: Checkout, benchmark: str) -> bool:
    """Whether the benchmark can be loaded with this side's code."""
    return side.call(side.python, "-c", f"import benchmarks.{benchmark}").returncode == 0


def measure(side: Checkout, benchmark: str) -> dict[str, float]:
    """Run the benchmark once. Raises CompareError."""
    done = side.call(side.python, "-c", _RUN, f"benchmarks.{benchmark}")
    if done.returncode != 0:
        raise CompareError(f"{benchmark} failed on {side.name}:\n{done.stdout}{done.stderr}")
    return read_figures(done.stdout)


def share_benchmark(name: str, here: Checkout, there: Checkout) -> str:
    """Copy this commit's benchmarks to the other one where they run on it; return which are used."""
    theirs = there.folder / "benchmarks"
    kept = theirs.rename(there.folder / "benchmarks-of-its-own")
    shutil.copytree(here.folder / "benchmarks", theirs)
    if can_import(there, name):
        return "the same benchmark for both"
    shutil.rmtree(theirs)
    kept.rename(theirs)
    if not can_import(there, name):
        raise CompareError(f"there is no benchmark {name} that runs on {there.name}")
    return f"each commit's own benchmark, because this one's does not run on {there.name}"


def run(ref: str, name: str, rounds: int) -> None:
    """Measure both sides in turns, after one round that does not count, and print the table."""
    with other_commit(ref, lock="requirements-dev.lock") as there:
        shared = share_benchmark(name, HERE, there)
        measured: dict[str, list[dict[str, float]]] = {there.name: [], HERE.name: []}
        for number in range(rounds + 1):
            # The order alternates, so that neither side always runs second.
            for side in (there, HERE) if number % 2 else (HERE, there):
                sys.stderr.write(f"round {number} of {rounds}: {side.name}\n")
                figures = measure(side, name)
                if number:
                    measured[side.name].append(figures)
    table = Table(title=f"{name}, {rounds} rounds, median (range); {shared}", title_justify="left")
    for column in ("figure", there.name, _here_name(), "ratio", "verdict"):
        table.add_column(column)
    for compared in compare(measured[there.name], measured[HERE.name]):
        table.add_row(*compared.row())
    Console(width=140).print(table)


def _here_name() -> str:
    commit = git("rev-parse", "--short", "HEAD")
    return f"{commit} and changes" if git("status", "--porcelain", "--untracked-files=no") else commit


def main(arguments: list[str]) -> int:
    """Read REF, NAME and ROUNDS; return 2 for what cannot be compared."""
    ref, name, rounds = (*arguments, "", "", "")[:3]
    if not ref or not name or not rounds.isdecimal() or int(rounds) < FEWEST_ROUNDS:
        sys.stderr.write(f"make compare REF=commit NAME=benchmark [ROUNDS=5]: at least {FEWEST_ROUNDS} rounds\n")
        return 2
    try:
        run(ref, name, int(rounds))
    except (CompareError, OtherCommitError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
