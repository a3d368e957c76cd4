"""The mark of processes that no namespace keeps together: which worker started them, and whether it still lives."""

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

MARKER_VARIABLE: Final = "BAUD_COMMAND_ID"
_SCANS: Final = 3  # a process may fork while the list is read


@dataclass(frozen=True, slots=True)
class Marker:
    """One command: its own number, the worker that started it, and the folder of its sandbox.

    A process id means something in its namespace only, and may be another's later: `start` tells them apart.
    """

    number: str
    namespace: str
    worker: int
    start: str
    folder: str

    def __str__(self) -> str:
        return "/".join((self.number, self.namespace, str(self.worker), self.start, self.folder))

    @classmethod
    def new(cls, folder: Path) -> "Marker":
        """Return the mark of a new command of this process."""
        worker = os.getpid()
        return cls(secrets.token_hex(16), _own_namespace(), worker, _start_of(worker) or "", str(folder))

    @classmethod
    def parse(cls, text: str) -> "Marker | None":
        """Read a mark; None for any other text."""
        number, _, rest = text.partition("/")
        namespace, _, rest = rest.partition("/")
        worker, _, rest = rest.partition("/")
        start, _, folder = rest.partition("/")
        return cls(number, namespace, int(worker), start, folder) if worker.isdecimal() else None

    def is_left_over(self, below: Path) -> bool:
        """Whether it belongs to a sandbox in that folder whose worker is dead, as far as can be seen from here."""
        folder = Path(self.folder)
        if not self.start or self.namespace != _own_namespace() or (folder != below and below not in folder.parents):
            return False
        try:
            return _start_of(self.worker) != self.start
        except OSError:
            return False


def kill_marked(marker: str) -> None:
    """Kill every process that carries this mark."""
    _kill(lambda text: text == marker)


def kill_left_over(below: Path) -> int:
    """Kill what dead workers left running in sandboxes in that folder; return how many processes. Blocks."""

    def is_left_over(text: str) -> bool:
        marker = Marker.parse(text)
        return marker is not None and marker.is_left_over(below)

    return _kill(is_left_over)


def _kill(is_wanted: Callable[[str], bool]) -> int:
    killed = 0
    for _ in range(_SCANS):
        wanted = [process for process in psutil.process_iter() if is_wanted(_mark_of(process))]
        for process in wanted:
            with suppress(psutil.Error):
                process.kill()
                killed += 1
        if not wanted:
            break
    return killed


def _mark_of(process: psutil.Process) -> str:
    try:
        return process.environ().get(MARKER_VARIABLE, "")
    except (psutil.Error, OSError):
        return ""


def _own_namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""  # no Linux


def _start_of(pid: int) -> str | None:
    """Return when a process began, in ticks since the machine did; None when it is gone or only waits to be reaped.

    Raises OSError when that cannot be seen, as without a free descriptor.
    """
    try:
        words = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if words[0] in "ZX" else words[19]
