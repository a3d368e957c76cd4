"""FakeSandbox: the Sandbox port in memory; files in a dict, commands answered by a script."""

import asyncio
import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from shared.contract.result import SandboxInfo
from workflow.errors import EditRefusedError, PathOutsideWorkspaceError, SandboxError
from workflow.service.sandbox.base import (
    BackgroundProcess,
    Command,
    CommandResult,
    EditedFile,
    FileEntry,
    FolderTree,
    FoundFiles,
    LinesPage,
    LinesWanted,
    OutputSink,
    TextReplacement,
    TreeEntry,
)
from workflow.service.sandbox.file_helper.editing import Replacement, edit_text
from workflow.service.sandbox.file_helper.finding import Finder
from workflow.service.sandbox.file_helper.reading import CHUNK_BYTES, PageLimits, page_of
from workflow.service.sandbox.file_helper.refusal import EditError, RefusedError
from workflow.service.sandbox.file_helper.tree import Tree
from workflow.service.sandbox.file_helper.walk import Visit

S = TypeVar("S")

WORKSPACE = "/workspace"


@dataclass(frozen=True, slots=True)
class CommandReply:
    """One command: pieces that are streamed, files that it leaves, then its end.

    With `until` the end is held back until the event is set (never set: hangs until cancelled).
    """

    pieces: tuple[str, ...] = ()
    exit_code: int | None = 0
    timed_out: bool = False
    truncated: bool = False
    files: Mapping[str, bytes] = field(default_factory=dict)
    until: asyncio.Event | None = None


Reply = CommandReply | Callable[[Command], CommandReply]


def prints(*pieces: str, exit_code: int = 0) -> CommandReply:
    """Return the reply of a command that prints these pieces and ends."""
    return CommandReply(pieces=pieces, exit_code=exit_code)


@dataclass(frozen=True, slots=True)
class FakeEntry:
    """What os.scandir gives, and what its stat gives."""

    name: str
    is_folder: bool
    st_size: int
    st_mtime: float

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        return self.is_folder

    def stat(self, *, follow_symlinks: bool = True) -> "FakeEntry":
        return self


class FakeSandbox:
    """A sandbox of files {path relative to the workspace: content} and scripted commands.

    `replies` are played in order; with `answer` every command is answered by that function
    instead. `modified` gives files the time of their change. `commands` and `started` are what was
    asked for, `closed` whether close() was called, `listening` the ports that expose() finds something on.
    """

    def __init__(
        self,
        files: Mapping[str, bytes | str] | None = None,
        replies: Sequence[Reply] = (),
        *,
        answer: Callable[[Command], CommandReply] | None = None,
        listening: Sequence[int] = (),
        modified: Mapping[str, float] | None = None,
        sandbox_id: str = "fake",
    ) -> None:
        self.files = {
            self._relative(path): content.encode() if isinstance(content, str) else content
            for path, content in (files or {}).items()
        }
        self.folders: set[str] = {parent for path in self.files for parent in _parents(path)}
        self.replies = tuple(replies)
        self.answer = answer
        self.listening = frozenset(listening)
        self.modified = dict(modified or {})
        self.commands: list[Command] = []
        self.started: list[Command] = []
        self.closed = False
        self._sandbox_id = sandbox_id

    @property
    def sandbox_id(self) -> str:
        return self._sandbox_id

    @property
    def workspace(self) -> str:
        return WORKSPACE

    def text(self, path: str) -> str:
        """Return a file's content as text."""
        return self.files[self._relative(path)].decode()

    async def run(self, command: Command, on_output: OutputSink | None = None) -> CommandResult:
        missing = self._missing_folder(command.cwd)
        if missing is not None:
            return missing
        reply = self._next_reply(command)
        self.commands.append(command)
        for piece in reply.pieces:
            if on_output is not None:
                await on_output(piece)
        if reply.until is not None:
            await reply.until.wait()
        await self.write_files(reply.files)
        exit_code = None if reply.timed_out else reply.exit_code
        return CommandResult("".join(reply.pieces), exit_code, reply.timed_out, reply.truncated)

    async def start(self, command: Command) -> BackgroundProcess:
        missing = self._missing_folder(command.cwd)
        if missing is not None:
            raise SandboxError(f"The command cannot be started: {missing.output.strip()}")
        self.started.append(command)
        number = len(self.started)
        log_path = f".baud/logs/{number}.log"
        await self.write_files({log_path: b""})
        stop_command = f"rm .baud/running/{number}"
        return BackgroundProcess(pid=1000 + number, log_path=log_path, stop_command=stop_command)

    async def read_file(self, path: str, max_bytes: int | None = None) -> bytes:
        relative = self._relative(path)
        if relative in self.files:
            return self.files[relative][:max_bytes]
        if relative in self.folders or not relative:
            raise IsADirectoryError(path)
        raise self._absent(relative)

    async def read_lines(self, path: str, wanted: LinesWanted) -> LinesPage:
        data = await self.read_file(path)
        chunks = (data[start : start + CHUNK_BYTES] for start in range(0, len(data), CHUNK_BYTES))
        limits = PageLimits(wanted.count, wanted.max_chars, wanted.max_line_chars, wanted.line_overhead)
        page = page_of(chunks, len(data), wanted.first, limits)
        return LinesPage(tuple(page.lines), page.left, page.total, page.size, page.is_binary)

    async def edit_file(self, path: str, edits: Sequence[TextReplacement]) -> EditedFile:
        data = await self.read_file(path)
        with _refusals():
            made = [Replacement(each.old.encode(), each.new.encode(), everywhere=each.everywhere) for each in edits]
            edited = edit_text(data, made, path)
        await self.write_files({path: edited.data})
        return EditedFile(tuple(edited.counts), edited.first_line, tuple(edited.lines))

    async def find_files(self, path: str, pattern: str, *, leave_out: frozenset[str], limit: int) -> FoundFiles:
        with _refusals():
            finder = Finder(pattern, leave_out, limit)
        self._walk(self._folder(path), "", finder.start, finder.visit)
        return FoundFiles(tuple(finder.newest()), finder.count, is_complete=True)

    async def list_tree(self, path: str, *, ignore: Sequence[str], closed: frozenset[str], limit: int) -> FolderTree:
        with _refusals():
            tree = Tree(ignore, closed, limit)
        self._walk(self._folder(path), "", tree.start, tree.visit)
        shown, more = tree.entries()
        entries = tuple(TreeEntry(each.path, each.is_dir, each.inside) for each in shown)
        return FolderTree(entries, more, tree.depth, tree.seen, is_complete=True)

    async def write_files(self, files: Mapping[str, bytes]) -> frozenset[str]:
        replaced = frozenset(path for path in files if self._relative(path) in self.files)
        targets = {path: self._relative(path) for path in files}
        for path, relative in targets.items():
            if relative in self.folders or not relative:
                raise IsADirectoryError(path)
            if any(parent in self.files for parent in _parents(relative)):
                raise NotADirectoryError(path)
        for path, content in files.items():
            self.files[targets[path]] = content
            self.folders.update(_parents(targets[path]))
        return replaced

    async def list_files(self, path: str, *, recursive: bool, limit: int = 20_000) -> list[FileEntry]:
        folder = self._folder(path)
        start = f"{folder}/" if folder else ""
        names = {name for name in self.files.keys() | self.folders if name.startswith(start)}
        wanted = [name for name in names if recursive or "/" not in name[len(start) :]]
        shallow_first = sorted(wanted, key=lambda name: (name.count("/"), name))[:limit]
        return sorted((self._entry(name, start) for name in shallow_first), key=lambda entry: entry.path)

    async def display_path(self, path: str) -> str:
        return posixpath.join(WORKSPACE, self._relative(path)).rstrip("/")

    async def expose(self, port: int, app_path: str) -> SandboxInfo:
        if port not in self.listening:
            raise SandboxError(f"Nothing listens on port {port}. Start the server first with is_long_running.")
        url = f"http://127.0.0.1:{port}"
        return SandboxInfo(sandbox_id=self.sandbox_id, sandbox_url=url, app_path=app_path)

    async def close(self) -> None:
        self.closed = True

    def _folder(self, path: str) -> str:
        folder = self._relative(path)
        if folder in self.files:
            raise NotADirectoryError(path)
        if folder and folder not in self.folders:
            raise self._absent(folder)
        return folder

    def _walk(self, folder: str, prefix: str, state: S, visit: Visit[S]) -> None:
        start = f"{folder}/" if folder else ""
        names = {name for name in self.files.keys() | self.folders if name.startswith(start)}
        entries = [
            FakeEntry(name[len(start) :], name in self.folders, 0, self.modified.get(name, 0.0))
            for name in sorted(names)
            if "/" not in name[len(start) :]
        ]
        for name, below in visit(state, prefix, entries):
            self._walk(start + name, f"{prefix}{name}/", below, visit)

    def _entry(self, name: str, start: str) -> FileEntry:
        return FileEntry(name[len(start) :], name in self.folders, len(self.files.get(name, b"")), 0.0)

    def _missing_folder(self, cwd: str) -> CommandResult | None:
        folder = self._relative(cwd)
        if not folder or folder in self.folders:
            return None
        return CommandResult(f"The working folder {cwd} does not exist or is not a folder.\n", 127)

    def _absent(self, relative: str) -> OSError:
        through_file = any(parent in self.files for parent in _parents(relative))
        return NotADirectoryError(relative) if through_file else FileNotFoundError(relative)

    def _next_reply(self, command: Command) -> CommandReply:
        if self.answer is not None:
            return self.answer(command)
        position = len(self.commands)
        if position >= len(self.replies):
            raise AssertionError(f"FakeSandbox has {len(self.replies)} replies; no reply for {list(command.argv)}")
        reply = self.replies[position]
        return reply(command) if callable(reply) else reply

    def _relative(self, path: str) -> str:
        if "\0" in path:
            raise PathOutsideWorkspaceError("The path contains a null byte.")
        inside = posixpath.normpath(posixpath.join(WORKSPACE, path))
        if inside != WORKSPACE and not inside.startswith(f"{WORKSPACE}/"):
            raise PathOutsideWorkspaceError(f"{path} lies outside the workspace {WORKSPACE}.")
        return inside[len(WORKSPACE) + 1 :]


@contextmanager
def _refusals() -> Iterator[None]:
    """Raise what the helper refuses as the port does."""
    try:
        yield
    except EditError as error:
        raise EditRefusedError(error.message, number=error.number) from error
    except RefusedError as error:
        raise SandboxError(error.message) from error


def _parents(path: str) -> list[str]:
    """Return the folders above a relative path, without the workspace itself."""
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]
