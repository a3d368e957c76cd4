"""Keeps a part of the disk free: of commands that write when it is nearly full, the largest writer is stopped."""

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from workflow.errors import SandboxError
from workflow.service.sandbox.disk_use import folder_bytes, processes_below, written_by

# Upper bound of a disk's write rate: the fuller the disk, the more often it is checked.
_BYTES_PER_SECOND: Final = 4_000_000_000
_SHORTEST_PAUSE_SECONDS: Final = 0.02
_LONGEST_PAUSE_SECONDS: Final = 0.5
_WINDOW_SECONDS: Final = 1.0  # the command that wrote most within it is stopped
_NOISE_BYTES: Final = 1_048_576  # a shell that removes files writes a little too
# In the upper half of what is kept free only fast writers are stopped, so that one full workspace stops no others.
_FAST_PART: Final = 64
_SMALL_DISK_PART: Final = 4  # of a small disk a quarter is kept free at most


@dataclass(frozen=True, slots=True)
class Space:
    """A file system in bytes."""

    total_bytes: int
    free_bytes: int

    @classmethod
    def of(cls, folder: Path) -> "Space":
        """Return the space of the file system that holds the folder."""
        found = os.statvfs(folder)
        return cls(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize)


class RunningProcess(Protocol):
    """A command that can be stopped from any thread."""

    @property
    def pid(self) -> int:
        """The process id on the host."""

    @property
    def stopped_because(self) -> str:
        """Why the worker stopped it, if it did."""

    def kill_because(self, reason: str) -> None:
        """Kill it at once."""


@dataclass(frozen=True, slots=True, eq=False)
class WatchedCommand:
    """A command that runs, and the folder that it writes to."""

    process: RunningProcess
    folder: Path


Sizes = Mapping[WatchedCommand, int]


@dataclass(frozen=True, slots=True)
class _Sample:
    at: float
    free_bytes: int
    written: Sizes


class FullDiskCheck:
    """Finds the command that fills the disk, and stops it. Used by one thread at a time."""

    def __init__(
        self,
        root: Path,
        min_free_bytes: int,
        *,
        space: Callable[[Path], Space] = Space.of,
        written: Callable[[Sequence[int]], Mapping[int, int]] = written_by,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the folder that holds the workspaces; it exists by the first call. The clock counts seconds."""
        self._root = root
        self._min_free_bytes = min_free_bytes
        self._space = space
        self._written = written
        self._clock = clock
        self._samples: deque[_Sample] = deque()
        self._folder_bytes: dict[WatchedCommand, int] = {}

    def room(self) -> tuple[Space, int]:
        """Return the space of the file system, and the bytes of it that have to stay free."""
        space = self._space(self._root)
        return space, min(self._min_free_bytes, space.total_bytes // _SMALL_DISK_PART)

    def check(self, watched: Sequence[WatchedCommand]) -> float:
        """Stop the command that fills the disk, if there is one; return the seconds until the next check."""
        space, reserve = self.room()
        if space.free_bytes >= 2 * reserve:
            self._samples.clear()
            self._folder_bytes.clear()
            return min(_LONGEST_PAUSE_SECONDS, (space.free_bytes - 2 * reserve) / _BYTES_PER_SECOND)
        running = [each for each in watched if not each.process.stopped_because]
        before = self._sample(space, running)
        if space.free_bytes < reserve:
            is_low = space.free_bytes < reserve // 2
            least = _NOISE_BYTES if is_low else max(_NOISE_BYTES, reserve // _FAST_PART)
            largest = _largest(_growth(self._samples[-1].written, before.written), least)
            if largest is None and before.free_bytes - space.free_bytes >= least:
                largest = self._largest_by_folder(running, least)
            if largest is not None:
                _stop(largest, _nearly_full(space, reserve))
        return _SHORTEST_PAUSE_SECONDS

    def _sample(self, space: Space, watched: Sequence[WatchedCommand]) -> _Sample:
        """Record what each command has written until now; return the oldest sample of the window."""
        now = self._clock()
        found = self._written([each.process.pid for each in watched])
        written = {each: found[each.process.pid] for each in watched}
        self._samples.append(_Sample(now, space.free_bytes, written))
        while now - self._samples[0].at > _WINDOW_SECONDS:
            self._samples.popleft()
        return self._samples[0]

    def _largest_by_folder(self, watched: Sequence[WatchedCommand], least: int) -> WatchedCommand | None:
        """Return the command whose folder grew most since the last check, for writes that the kernel does not count."""
        before = self._folder_bytes
        self._folder_bytes = {each: folder_bytes(each.folder) for each in watched}
        known = {each: size for each, size in self._folder_bytes.items() if each in before}
        return _largest(_growth(known, before), least)


class DiskGuard:
    """One for all commands of a worker. It has a thread of its own, and only while commands run."""

    def __init__(self, root: Path, min_free_bytes: int, *, space: Callable[[Path], Space] = Space.of) -> None:
        """Take the folder that holds the workspaces; it exists by the first call. 0 bytes: nothing is guarded."""
        self._min_free_bytes = min_free_bytes
        self._full_disk = FullDiskCheck(root, min_free_bytes, space=space)
        self._lock = threading.Lock()
        self._watched: set[WatchedCommand] = set()
        self._thread: threading.Thread | None = None

    @contextmanager
    def watch(self, process: RunningProcess, folder: Path) -> Iterator[None]:
        """Guard the disk against a command inside the block."""
        if not self._min_free_bytes:
            yield
            return
        command = WatchedCommand(process, folder)
        with self._lock:
            self._watched.add(command)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="disk-guard", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._watched.discard(command)

    def require_room(self, size_bytes: int) -> None:
        """Raise SandboxError unless this many bytes can be written. Blocks briefly."""
        if not self._min_free_bytes:
            return
        space, reserve = self._full_disk.room()
        kept_back = reserve // 2  # the other half is reserved for commands
        if space.free_bytes - size_bytes < kept_back:
            raise SandboxError(f"Nothing was written: {_nearly_full(space, kept_back)}")

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._watched:
                    self._thread = None
                    return
                watched = list(self._watched)
            pause = _LONGEST_PAUSE_SECONDS
            with suppress(OSError):  # the folder is not there yet, or its disk does not answer
                pause = self._full_disk.check(watched)
            time.sleep(max(_SHORTEST_PAUSE_SECONDS, pause))


def _growth(now: Sizes, before: Sizes) -> Sizes:
    """Return by how much each has grown; a new one counts from zero."""
    return {command: size - before.get(command, 0) for command, size in now.items()}


def _largest(growth: Sizes, least: int) -> WatchedCommand | None:
    growing = {command: size for command, size in growth.items() if size >= least}
    return max(growing, key=growing.__getitem__, default=None)


def _stop(command: WatchedCommand, why: str) -> None:
    members = processes_below([command.process.pid])[command.process.pid]
    command.process.kill_because(f"The command was stopped: it was filling the disk. {why}")
    for pid in members:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _nearly_full(space: Space, reserve: int) -> str:
    return (
        f"The disk is nearly full: {space.free_bytes} bytes are free, and {reserve} have to stay free. Remove what"
        " is not needed before you write more."
    )
