"""The Sandbox port: a workspace with files and commands, wherever it really is."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from shared.contract.result import SandboxInfo

OutputSink = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Command:
    """What to run: an argv, never a string that a shell would split."""

    argv: Sequence[str]
    cwd: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    timeout_seconds: float = 120.0


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The result of a command; output is stdout and stderr interleaved, head and tail kept."""

    output: str
    exit_code: int | None
    timed_out: bool = False
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class BackgroundProcess:
    """A background command; `log_path` is a path in the sandbox that file_read can read.

    `exit_code` is set when it ended at once; `stop_command` is what a shell in the sandbox runs to stop it.
    """

    pid: int
    log_path: str
    exit_code: int | None = None
    stop_command: str = ""


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One entry of a folder; `path` is relative to the folder that was asked for."""

    path: str
    is_dir: bool
    size_bytes: int
    modified_at: float


@dataclass(frozen=True, slots=True)
class WorkspacePlace:
    """Where a thread's files are kept on this machine: the id of the disk, and whether there are files on it."""

    disk_id: str
    has_files: bool


@dataclass(frozen=True, slots=True)
class LinesWanted:
    """Which lines of a file, and what one page may hold; each line costs `line_overhead` beside its own characters."""

    first: int
    count: int
    max_chars: int
    max_line_chars: int
    line_overhead: int = 0


@dataclass(frozen=True, slots=True)
class LinesPage:
    """Lines without their ends; `left` is how many follow, None where that was too much to count.

    `total` is how many lines there are, set only where the first wanted line is past the end.
    """

    lines: tuple[str, ...]
    left: int | None
    total: int
    size_bytes: int
    is_binary: bool


@dataclass(frozen=True, slots=True)
class TextReplacement:
    """One edit: `old` must occur exactly once, unless `everywhere`."""

    old: str
    new: str
    everywhere: bool = False


@dataclass(frozen=True, slots=True)
class EditedFile:
    """How many places each edit changed, and the lines around the last changed place."""

    counts: tuple[int, ...]
    first_line: int
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FoundFiles:
    """Paths relative to the folder that was searched, newest first; `count` is how many match in all."""

    paths: tuple[str, ...]
    count: int
    is_complete: bool


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One entry of a tree; `inside` is how many entries lie below a folder."""

    path: str
    is_dir: bool
    inside: int


@dataclass(frozen=True, slots=True)
class FolderTree:
    """Entries in the order of a tree, `depth` levels of them; `more` of the first level did not fit."""

    entries: tuple[TreeEntry, ...]
    more: int
    depth: int
    seen: int
    is_complete: bool


class Sandbox(Protocol):
    """One thread's workspace. Paths are relative to `workspace` or absolute inside it.

    File methods raise PathOutsideWorkspaceError for anything that leads out (absolute, `..`,
    symlink), FileNotFoundError, IsADirectoryError, NotADirectoryError as the OS does, and SandboxError
    for what is too large or takes too long. What they hold in the worker's memory is bounded.
    """

    @property
    def sandbox_id(self) -> str:
        """The name of this sandbox."""

    @property
    def workspace(self) -> str:
        """The workspace's path as commands inside the sandbox see it."""

    async def run(self, command: Command, on_output: OutputSink | None = None) -> CommandResult:
        """Run to the end or to the time limit; its whole process group is gone afterwards."""

    async def start(self, command: Command) -> BackgroundProcess:
        """Start a command that outlives this call; its output goes to a log file."""

    async def read_file(self, path: str, max_bytes: int | None = None) -> bytes:
        """Return the file's first `max_bytes` bytes, or all of it; 64 MiB at most."""

    async def read_lines(self, path: str, wanted: LinesWanted) -> LinesPage:
        """Return lines of a text file of any size."""

    async def write_files(self, files: Mapping[str, bytes]) -> frozenset[str]:
        """Write each file atomically (temporary file and rename), making folders as needed.

        Returns the paths of those that were there before. Every path is checked before the first is written.
        """

    async def edit_file(self, path: str, edits: Sequence[TextReplacement]) -> EditedFile:
        """Make all edits in a UTF-8 file, in order, or none: then it raises EditRefusedError."""

    async def list_files(self, path: str, *, recursive: bool, limit: int = 20_000) -> list[FileEntry]:
        """Return the entries of a folder, sorted by path; at most `limit` of them, and 20,000."""

    async def find_files(self, path: str, pattern: str, *, leave_out: frozenset[str], limit: int) -> FoundFiles:
        """Return the newest files below a folder that match a glob; none that is or lies in a name of `leave_out`."""

    async def list_tree(self, path: str, *, ignore: Sequence[str], closed: frozenset[str], limit: int) -> FolderTree:
        """Return a folder as a tree as deep as fits; folders with a name of `closed` are shown, not opened."""

    async def display_path(self, path: str) -> str:
        """Return the confined absolute path as commands inside see it."""

    async def expose(self, port: int, app_path: str) -> SandboxInfo:
        """Return the address at which a server on this port of the sandbox can be reached."""

    async def close(self) -> None:
        """Stop everything that still runs in the sandbox; its files stay."""
