"""Confines paths to a workspace: by name, then by walking symlinks as a command inside would see them."""

import errno
import os
import posixpath

from .refusal import OutsideError, RefusedError

MAX_PATH_BYTES = 4096  # PATH_MAX: no command could use a longer one
MAX_LINKS = 40  # as the kernel has it
_MAX_NAMES = 4096  # walked for one path, link targets included

Parts = tuple[str, ...]


def check_path(path: str) -> None:
    """Refuse what no file can be called before any work is done with it."""
    if len(path) > MAX_PATH_BYTES:
        raise RefusedError(_too_long(len(path)))
    if "\0" in path:
        raise OutsideError("The path contains a null byte. Leave it out.")
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        raise OutsideError("The path contains a character that no file name can have.") from None
    if size > MAX_PATH_BYTES:
        raise RefusedError(_too_long(size))


class WorkspacePaths:
    """The paths of one workspace: `root` is the real folder, `shown` its name for commands inside."""

    def __init__(self, root: str, shown: str) -> None:
        self.root = root
        self.shown = shown

    def relative(self, path: str) -> str:
        """Return the path relative to the workspace, "" for itself; `..` is taken by name, before symlinks."""
        check_path(path)
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

    def resolve(self, path: str) -> Parts:
        """Return the names from the workspace's root to where the path leads, none of them a symlink.

        What does not exist (yet) resolves to itself. Absolute link targets are read as inside the sandbox.
        The answer can be outdated at once: open it name by name without following links.
        """
        pending = self.relative(path).split("/")[::-1]
        done: list[str] = []
        links = 0
        for _ in range(_MAX_NAMES):
            if not pending:
                return tuple(done)
            name = pending.pop()
            if name in {"", "."}:
                continue
            if name == "..":
                if not done:
                    raise self._outside(path)
                done.pop()
                continue
            target = self._link_target(done, name)
            if target is None:
                done.append(name)
                continue
            links += 1
            if links > MAX_LINKS:
                break
            pending.extend(self._from_link(target, done, path).split("/")[::-1])
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)

    def _link_target(self, done: list[str], name: str) -> str | None:
        try:
            return os.readlink("/".join((self.root, *done, name)))
        except PermissionError:
            raise
        except OSError:  # no link, or nothing there, or a file where a folder should be: opening it will tell
            return None

    def _from_link(self, target: str, done: list[str], path: str) -> str:
        """Return what is left to walk from `done`, which an absolute target clears; `..` is walked, not collapsed."""
        if not target.startswith("/"):
            return target
        done.clear()
        if target != self.shown and not target.startswith(f"{self.shown}/"):
            raise self._outside(path)
        return target[len(self.shown) + 1 :]

    def _outside(self, path: str) -> OutsideError:
        return OutsideError(f"{path} lies outside the workspace {self.shown}. Use a path inside it.")


def _too_long(size: int) -> str:
    return f"The path is {size} bytes long; at most {MAX_PATH_BYTES} can be used. Shorten it."
