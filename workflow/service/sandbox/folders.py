"""The folders of one thread's sandbox on the host: workspace, home and temporary files."""

import hashlib
import os
import re
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SAFE_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}")


@dataclass(frozen=True, slots=True)
class SandboxFolders:
    """One thread's folder below the sandboxes' root, and what is in it."""

    base: Path

    @classmethod
    def of_thread(cls, root: Path, thread_id: str) -> "SandboxFolders":
        """Return the thread's folders; an id that is no safe file name is hashed to one that no id can be."""
        if _SAFE_NAME.fullmatch(thread_id):
            return cls(root / thread_id)
        digest = hashlib.sha256(thread_id.encode("utf-8", "surrogatepass")).hexdigest()
        return cls(root / f"~{digest}")

    @property
    def workspace(self) -> Path:
        """What the agent works in."""
        return self.base / "workspace"

    @property
    def home(self) -> Path:
        """HOME of the commands: caches and settings that tools leave there."""
        return self.base / "home"

    @property
    def temporary(self) -> Path:
        """TMPDIR of the commands; on disk, because a tmpfs would be memory, and gone after each command."""
        return self.base / "tmp"

    @property
    def programs(self) -> Path:
        """Programs of ours for commands, where they see the host."""
        return self.base / "bin"

    def create(self) -> None:
        """Make what is missing, for this user alone."""
        for folder in (self.base, self.workspace, self.home, self.temporary):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def delete(self) -> None:
        """Delete the thread's folder with everything in it; what is not there is no error."""
        if not self.base.exists():
            return
        try:
            shutil.rmtree(self.base)
        except PermissionError:
            _unlock(self.base)
            shutil.rmtree(self.base)


def _unlock(folder: Path) -> None:
    """Take back the rights that a command may have taken from its own folders; links are left alone."""
    for path, names, _ in os.walk(folder):
        for name in names:
            inner = os.path.join(path, name)
            if not os.path.islink(inner):
                os.chmod(inner, stat.S_IRWXU)
