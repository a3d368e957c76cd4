"""File operations of one workspace, run by its own helper process, which can be killed."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from workflow.errors import EditRefusedError, PathOutsideWorkspaceError, SandboxError
from workflow.service.sandbox.base import (
    EditedFile,
    FileEntry,
    FolderTree,
    FoundFiles,
    LinesPage,
    LinesWanted,
    TextReplacement,
    TreeEntry,
)
from workflow.service.sandbox.file_helper.frames import MAX_BODY_BYTES, FrameError
from workflow.service.sandbox.file_helper.paths import check_path
from workflow.service.sandbox.file_helper.refusal import OutsideError, RefusedError
from workflow.service.sandbox.helper_process import Answer, HelperEndedError, HelperProcess

logger = logging.getLogger(__name__)

CALL_SECONDS: Final = 30.0  # of one operation; the tools' own limits of 60 s leave room for one that waits before
IDLE_SECONDS: Final = 60.0  # between two steps of an agent; 300 sandboxes must not cost 300 processes for ever


class WorkspaceFiles:
    """File operations of one sandbox, one at a time; a call cut off ends the helper, the next starts another."""

    def __init__(
        self, root: Path, shown: str, *, call_seconds: float = CALL_SECONDS, idle_seconds: float = IDLE_SECONDS
    ) -> None:
        self._root = root
        self._shown = shown
        self._call_seconds = call_seconds
        self._idle_seconds = idle_seconds
        self._lock = asyncio.Lock()
        self._process: HelperProcess | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._idle: asyncio.TimerHandle | None = None
        self._is_closed = False

    @property
    def helper_pid(self) -> int | None:
        """The process id of the helper while there is one."""
        return self._process.pid if self._process else None

    async def display(self, path: str) -> str:
        """Return the absolute path as commands see it."""
        facts, _ = await self._call({"op": "display", "path": _checked(path)})
        return str(facts["path"])

    async def folder(self, path: str) -> tuple[str, ...]:
        """Return the names, none of them a symlink, that lead to a folder that is there."""
        facts, _ = await self._call({"op": "folder", "path": _checked(path)})
        return tuple(facts["parts"])

    async def read(self, path: str, max_bytes: int | None) -> bytes:
        """Return the first `max_bytes` bytes, or all of the file."""
        is_part = max_bytes is not None
        most = min(MAX_BODY_BYTES if max_bytes is None else max_bytes, MAX_BODY_BYTES)
        header = {"op": "read", "path": _checked(path), "is_part": is_part, "max_bytes": most}
        return (await self._call(header))[1]

    async def read_lines(self, path: str, wanted: LinesWanted) -> LinesPage:
        """Return a page of lines."""
        limits = {
            "lines": wanted.count,
            "chars": wanted.max_chars,
            "line_chars": wanted.max_line_chars,
            "line_overhead": wanted.line_overhead,
        }
        facts, body = await self._call({"op": "lines", "path": _checked(path), "first": wanted.first, "limits": limits})
        lines = tuple(body.decode().split("\n")) if facts["count"] else ()
        return LinesPage(lines, facts["left"], facts["total"], facts["size"], facts["is_binary"])

    async def write(self, files: Mapping[str, bytes]) -> frozenset[str]:
        """Write each file atomically; return the paths of those that were there before."""
        sizes = [(_checked(path), len(content)) for path, content in files.items()]
        facts, _ = await self._call({"op": "write", "files": sizes}, tuple(files.values()))
        return frozenset(facts["replaced"])

    async def edit(self, path: str, edits: Sequence[TextReplacement]) -> EditedFile:
        """Make all replacements, or none."""
        texts = [(edit.old.encode(), edit.new.encode(), edit.everywhere) for edit in edits]
        sizes = [(len(old), len(new), everywhere) for old, new, everywhere in texts]
        contents = [text for old, new, _ in texts for text in (old, new)]
        facts, _ = await self._call({"op": "edit", "path": _checked(path), "edits": sizes}, contents)
        return EditedFile(tuple(facts["counts"]), facts["first_line"], tuple(facts["lines"]))

    async def list_folder(self, path: str, *, recursive: bool, limit: int) -> list[FileEntry]:
        """Return entries sorted by path; what is nearer to the folder comes first."""
        header = {"op": "list", "path": _checked(path), "recursive": recursive, "limit": limit}
        facts, _ = await self._call(header)
        return [FileEntry(*entry) for entry in facts["entries"]]

    async def find(self, path: str, pattern: str, *, leave_out: frozenset[str], limit: int) -> FoundFiles:
        """Return the newest files whose path matches."""
        header = {"op": "find", "path": _checked(path), "pattern": pattern, "leave_out": sorted(leave_out)}
        facts, _ = await self._call({**header, "limit": limit})
        return FoundFiles(tuple(facts["paths"]), facts["count"], facts["is_complete"])

    async def tree(self, path: str, *, ignore: Sequence[str], closed: frozenset[str], limit: int) -> FolderTree:
        """Return a folder as a tree."""
        header = {"op": "tree", "path": _checked(path), "ignore": list(ignore), "closed": sorted(closed)}
        facts, _ = await self._call({**header, "limit": limit})
        entries = tuple(TreeEntry(*entry) for entry in facts["entries"])
        return FolderTree(entries, facts["more"], facts["depth"], facts["seen"], facts["is_complete"])

    async def begin_log(self, **names: str) -> dict[str, Any]:
        """Create the log of a background process and the notes that go with it; see Operations."""
        return (await self._call({"op": "log", **names}))[0]

    async def close(self) -> None:
        """End the helper, also in the middle of an operation; no other is started."""
        self._is_closed = True
        self._end_helper()
        await asyncio.gather(*self._ending)

    async def _call(self, header: Mapping[str, Any], contents: Sequence[bytes] = ()) -> Answer:
        async with self._lock:
            if self._is_closed:
                raise SandboxError("The sandbox was stopped; its files are kept. Ask for it again.")
            facts, body = await self._ask(header, contents)
        if "error" in facts:
            raise _error(facts)
        return facts, body

    async def _ask(self, header: Mapping[str, Any], contents: Sequence[bytes]) -> Answer:
        self._stop_idle_timer()
        try:
            async with asyncio.timeout(self._call_seconds):
                answer = await (await self._running()).ask(header, contents)
        except FrameError as error:
            raise SandboxError(f"That is too much for one call: {error}. Send less at once.") from error
        except TimeoutError as error:
            self._end_helper()
            raise SandboxError(
                f"The work on files was stopped after {self._call_seconds:g} s. Give a narrower path or pattern."
            ) from error
        except (HelperEndedError, OSError) as error:
            logger.warning("The helper for files of %s ended in the middle of a call: %s", self._root, error)
            self._end_helper()
            raise SandboxError("The work on files broke off; it may be half done. Check, and try again.") from error
        except BaseException:
            self._end_helper()
            raise
        finally:
            if self._process is not None:
                self._idle = asyncio.get_running_loop().call_later(self._idle_seconds, self._end_helper)
        return answer

    async def _running(self) -> HelperProcess:
        if self._process is None or self._process.has_ended:
            self._end_helper()
            self._process = await HelperProcess.start(self._root, self._shown)
        return self._process

    def _end_helper(self) -> None:
        self._stop_idle_timer()
        process, self._process = self._process, None
        if process is not None:
            ending = asyncio.create_task(process.end())
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    def _stop_idle_timer(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None


def _checked(path: str) -> str:
    """Refuse a path that cannot be one before it goes anywhere."""
    try:
        check_path(path)
    except OutsideError as error:
        raise PathOutsideWorkspaceError(error.message) from error
    except RefusedError as error:
        raise SandboxError(error.message) from error
    return path


def _error(facts: Mapping[str, Any]) -> Exception:
    if facts["error"] == "os":
        return OSError(facts["errno"], facts["message"], facts["path"])
    if facts["error"] == "outside":
        return PathOutsideWorkspaceError(facts["message"])
    if facts["error"] == "edit":
        return EditRefusedError(facts["message"], number=facts["number"])
    return SandboxError(facts["message"])
