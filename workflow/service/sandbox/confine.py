"""Confines paths to a workspace: by name, then by walking symlinks as a command inside would see them."""

import os
import posixpath
from collections import deque
from dataclasses import dataclass
from errno import ELOOP
from pathlib import Path
from typing import Final

from workflow.errors import PathOutsideWorkspaceError

_MAX_LINKS: Final = 40  # as the kernel has it


@dataclass(frozen=True, slots=True)
class WorkspacePaths:
    """The paths of one workspace: `root` is the real folder, `shown` its name for commands inside."""

    root: Path
    shown: str

    def relative(self, path: str) -> str:
        """Return the path relative to the workspace, "" for itself; `..` is taken by name, before symlinks."""
        _check_encodable(path)
        inside = posixpath.normpath(posixpath.join(self.shown, path))
        if inside == self.shown:
            return ""
        if not inside.startswith(f"{self.shown}/"):
            raise self._outside(path)
        return inside[len(self.shown) + 1 :]

    def display(self, path: str) -> str:
        """Return the absolute path as commands inside see it, after checking that it leads nowhere else."""
        self.resolve(path)
        relative = self.relative(path)
        return f"{self.shown}/{relative}" if relative else self.shown

    def resolve(self, path: str) -> tuple[str, ...]:
        """Return the names from the workspace's root to where the path leads, none of them a symlink.

        What does not exist (yet) resolves to itself. Absolute link targets are read as inside the sandbox.
        The answer can be outdated at once: open it name by name without following links.
        """
        pending = deque(self.relative(path).split("/"))
        done: list[str] = []
        links = 0
        while pending:
            name = pending.popleft()
            if name == ".." and not done:
                raise self._outside(path)
            if name == "..":
                done.pop()
            target = self._link_target(done, name)
            if target is None:
                done.extend([name] if name not in {"", ".", ".."} else [])
                continue
            links += 1
            if links > _MAX_LINKS:
                raise OSError(ELOOP, os.strerror(ELOOP), path)
            if target.startswith("/"):
                done.clear()
                target = self._inside(target, path)
            pending.extendleft(reversed(target.split("/")))
        return tuple(done)

    def real(self, parts: tuple[str, ...]) -> Path:
        """Return the real path of resolved names."""
        return self.root.joinpath(*parts)

    def _link_target(self, done: list[str], name: str) -> str | None:
        if name in {"", ".", ".."}:
            return None
        try:
            return os.readlink(self.root.joinpath(*done, name))
        except PermissionError:
            raise
        except OSError:  # no link, or nothing there, or a file where a folder should be: opening it will tell
            return None

    def _inside(self, target: str, path: str) -> str:
        """Return an absolute link target relative to the workspace; `..` in it is walked, not collapsed."""
        if target != self.shown and not target.startswith(f"{self.shown}/"):
            raise self._outside(path)
        return target[len(self.shown) + 1 :]

    def _outside(self, path: str) -> PathOutsideWorkspaceError:
        return PathOutsideWorkspaceError(f"{path} lies outside the workspace {self.shown}. Use a path inside it.")


def _check_encodable(path: str) -> None:
    if "\0" in path:
        raise PathOutsideWorkspaceError("The path contains a null byte. Leave it out.")
    try:
        os.fsencode(path)
    except UnicodeEncodeError as error:
        raise PathOutsideWorkspaceError("The path contains a character that no file name can have.") from error
