"""What commands have written: by the kernel's own count for their processes, and by the size of their folders."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

_MAX_ENTRIES: Final = 100_000  # of one folder's tree; about half a second


def processes_below(leaders: Sequence[int]) -> Mapping[int, Sequence[int]]:
    """Return each leader's processes: itself, what descends from it, and what is in its group or session."""
    children: dict[int, list[int]] = {}
    groups: dict[int, set[int]] = {leader: {leader} for leader in leaders}
    for pid, parent, group, session in _process_table():
        children.setdefault(parent, []).append(pid)
        for leader in {group, session} & groups.keys():
            groups[leader].add(pid)
    return {leader: tuple(_descendants(found, children)) for leader, found in groups.items()}


def written_by(leaders: Sequence[int]) -> Mapping[int, int]:
    """Return what each leader's processes have written to disks, by the kernel's count."""
    return {leader: sum(map(_written_bytes, pids)) for leader, pids in processes_below(leaders).items()}


def _written_bytes(pid: int) -> int:
    """Return what a process and its ended children have written; 0 when it is gone or not ours."""
    try:
        with open(f"/proc/{pid}/io", "rb") as file:
            counts = dict(line.split(b": ") for line in file.read().splitlines())
        return int(counts[b"write_bytes"]) - int(counts[b"cancelled_write_bytes"])
    except (OSError, KeyError, ValueError):
        return 0


def folder_bytes(folder: Path) -> int:
    """Return the disk space of a folder's tree, or of as much of it as can be measured in bounded time."""
    total = 0
    for count, size in enumerate(_sizes(folder)):
        if count >= _MAX_ENTRIES:
            break
        total += size
    return total


def _sizes(top: Path) -> Iterator[int]:
    pending = [str(top)]
    while pending:
        with suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                with suppress(OSError):
                    yield entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)


def _process_table() -> Iterator[tuple[int, int, int, int]]:
    """Yield (process, parent, group, session) of every process that can be seen."""
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with suppress(OSError, ValueError, IndexError):
            with open(f"/proc/{name}/stat", "rb") as file:
                words = file.read().rpartition(b")")[2].split()
            yield int(name), int(words[1]), int(words[2]), int(words[3])


def _descendants(pids: Iterable[int], children: Mapping[int, Sequence[int]]) -> Iterator[int]:
    seen: set[int] = set()
    pending = list(pids)
    while pending:
        pid = pending.pop()
        if pid not in seen:
            seen.add(pid)
            yield pid
            pending.extend(children.get(pid, ()))
