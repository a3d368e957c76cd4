"""Room for the store on a disk that others fill: a file that is given up, and the wait for room after that.

Valkey ends when it cannot write its log (with appendfsync always it may not go on), and would end again with the
first write after each start. What it had confirmed stands in the log; what it could not write nobody has seen.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

_MEGABYTE: Final = 1024 * 1024
RESERVE_BYTES: Final = 32 * _MEGABYTE  # some thousand events: enough to end runs, or to clean up
LEAST_BYTES: Final = 16 * _MEGABYTE  # below this the store is not started
_PLENTY: Final = 8  # times the reserve that must be free before it is taken
_LOOK_SECONDS: Final = 1.0
REFILL_SECONDS: Final = 60.0


def free_bytes(folder: Path) -> int:
    """Return what this user may still write to the disk of the folder."""
    found = os.statvfs(folder)
    return found.f_frsize * (found.f_bfree if os.geteuid() == 0 else found.f_bavail)


class DiskReserve:
    """Keeps the reserve in the store's folder; `say` takes a line for the user."""

    def __init__(self, folder: Path, say: Callable[[str], None], *, free: Callable[[Path], int] = free_bytes) -> None:
        self._folder = folder
        self._path = folder / "reserve"
        self._say = say
        self._free = free

    def fill(self) -> None:
        """Take the reserve, unless it is there or the disk has little to give."""
        with suppress(OSError):
            if self._path.exists() or self._free(self._folder) < _PLENTY * RESERVE_BYTES:
                return
            with self._path.open("xb") as file:
                os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)

    def release(self) -> bool:
        """Give the reserve up; False when there was none."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True

    async def wait_for_room(self) -> None:
        """Return when the store can write; on a full disk the reserve goes first."""
        if self._has_room():
            return
        if self.release():
            self._say(f"the disk of {self._folder} is full: the store goes on with its last {_in_mb(RESERVE_BYTES)}")
        if self._has_room():
            return
        self._say(
            f"the disk of {self._folder} is full: nothing can be stored. Remove files; "
            f"with {_in_mb(LEAST_BYTES)} free Baud goes on by itself"
        )
        while not self._has_room():  # noqa: ASYNC110 - nothing tells of room on a disk
            await asyncio.sleep(_LOOK_SECONDS)

    async def keep_filled(self) -> None:
        """Take the reserve again once there is plenty, until cancelled."""
        while True:
            await asyncio.to_thread(self.fill)
            await asyncio.sleep(REFILL_SECONDS)

    def _has_room(self) -> bool:
        try:
            return self._free(self._folder) >= LEAST_BYTES
        except OSError:  # what cannot be looked at is no reason to wait
            return True


def _in_mb(count: int) -> str:
    return f"{count // _MEGABYTE} MB"
