"""The folders of one thread's sandbox on the host: workspace, home and temporary files."""

import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SAFE_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}")
_OWNER_FILE: Final = "thread"


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
        """Baud's own programs for commands that see the host."""
        return self.base / "bin"

    def thread_id(self) -> str | None:
        """Return the thread of the folder; None when it is unknown, or not a sandbox folder."""
        with suppress(OSError):
            return (self.base / _OWNER_FILE).read_bytes().decode("utf-8", "surrogatepass")
        return self.base.name if _SAFE_NAME.fullmatch(self.base.name) else None

    def is_complete(self) -> bool:
        """Whether it has all that `create` makes: the root may hold other folders."""
        return all(folder.is_dir() for folder in (self.workspace, self.home, self.temporary))

    def create(self, thread_id: str = "") -> None:
        """Make what is missing, for this user alone; a hashed name gets a file with the thread id."""
        for folder in (self.base, self.workspace, self.home, self.temporary):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if thread_id and thread_id != self.base.name:
            (self.base / _OWNER_FILE).write_bytes(thread_id.encode("utf-8", "surrogatepass"))
