"""The operations of the helper by name: from a request's header and bytes to an answer's."""

from collections.abc import Callable, Mapping
from typing import Any

from .editing import Replacement, edit_file
from .finding import Finder
from .folders import Folders
from .listing import Listing
from .paths import WorkspacePaths
from .reading import PageLimits, read_bytes, read_lines, read_whole
from .tree import Tree
from .walk import Budget, walk
from .writing import new_numbered, write_files

Header = Mapping[str, Any]
Answer = tuple[dict[str, Any], bytes]


class Operations:
    """What the helper does in one workspace; each operation is bounded in memory and may be killed at any time."""

    def __init__(self, root: str, shown: str) -> None:
        self._folders = Folders(WorkspacePaths(root, shown))
        self._paths = self._folders.paths
        self._by_name: dict[str, Callable[[Header, memoryview], Answer]] = {
            "display": self._display,
            "folder": self._folder,
            "read": self._read,
            "lines": self._lines,
            "write": self._write,
            "edit": self._edit,
            "list": self._list,
            "find": self._find,
            "tree": self._tree,
            "log": self._log,
        }

    def answer(self, header: Header, body: memoryview) -> Answer:
        """Carry out the operation that the header names."""
        return self._by_name[header["op"]](header, body)

    def _display(self, header: Header, body: memoryview) -> Answer:
        return {"path": self._paths.display(header["path"])}, b""

    def _folder(self, header: Header, body: memoryview) -> Answer:
        parts = self._paths.resolve(header["path"])
        with self._folders.open(parts):
            return {"parts": parts}, b""

    def _read(self, header: Header, body: memoryview) -> Answer:
        if header["is_part"]:
            return {}, read_bytes(self._folders, header["path"], header["max_bytes"])
        return {}, read_whole(self._folders, header["path"], header["max_bytes"])

    def _lines(self, header: Header, body: memoryview) -> Answer:
        page = read_lines(self._folders, header["path"], header["first"], PageLimits(**header["limits"]))
        facts = {"size": page.size, "is_binary": page.is_binary, "left": page.left, "total": page.total}
        return {**facts, "count": len(page.lines)}, "\n".join(page.lines).encode()

    def _write(self, header: Header, body: memoryview) -> Answer:
        files, position = {}, 0
        for path, size in header["files"]:
            files[path] = body[position : position + size]
            position += size
        return {"replaced": write_files(self._folders, files)}, b""

    def _edit(self, header: Header, body: memoryview) -> Answer:
        edits, position = [], 0
        for old_bytes, new_bytes, everywhere in header["edits"]:
            middle, end = position + old_bytes, position + old_bytes + new_bytes
            edits.append(Replacement(bytes(body[position:middle]), bytes(body[middle:end]), everywhere=everywhere))
            position = end
        edited = edit_file(self._folders, header["path"], edits)
        return {"counts": edited.counts, "first_line": edited.first_line, "lines": edited.lines}, b""

    def _list(self, header: Header, body: memoryview) -> Answer:
        listing = Listing(recursive=header["recursive"], limit=header["limit"])
        with self._folders.open(self._paths.resolve(header["path"])) as folder:
            walk(folder, 0, listing.visit, Budget())
        return {"entries": listing.entries()}, b""

    def _find(self, header: Header, body: memoryview) -> Answer:
        finder = Finder(header["pattern"], frozenset(header["leave_out"]), header["limit"])
        budget = Budget()
        with self._folders.open(self._paths.resolve(header["path"])) as folder:
            walk(folder, finder.start, finder.visit, budget)
        paths = [_printable(path) for path in finder.newest()]
        return {"paths": paths, "count": finder.count, "is_complete": not budget.is_used_up}, b""

    def _tree(self, header: Header, body: memoryview) -> Answer:
        tree = Tree(header["ignore"], frozenset(header["closed"]), header["limit"])
        budget = Budget()
        with self._folders.open(self._paths.resolve(header["path"])) as folder:
            walk(folder, tree.start, tree.visit, budget)
        shown, more = tree.entries()
        facts = {"more": more, "depth": tree.depth, "seen": tree.seen, "is_complete": not budget.is_used_up}
        return {**facts, "entries": [(_printable(each.path), each.is_dir, each.inside) for each in shown]}, b""

    def _log(self, header: Header, body: memoryview) -> Answer:
        """Create a numbered log and write the given files, `{n}` in their paths being the log's number."""
        path, parts = new_numbered(self._folders, header["folder"], header["suffix"])
        number = parts[-1].removesuffix(header["suffix"])
        running = header["running"].replace("{n}", number)
        notes = {running: header["note"].encode(), header["ignore_file"]: b"*\n"}
        write_files(self._folders, notes)
        return {"path": path, "parts": parts, "running": running, "running_parts": self._paths.resolve(running)}, b""


def _printable(path: str) -> str:
    """A name that is not UTF-8 could be put into no event."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
