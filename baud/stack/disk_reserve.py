"""Keeps disk space for the store: a reserve file that is removed when the disk is full, then a wait for space.

Valkey ends when it cannot write its log (with appendfsync always it may not go on), and would end again with the
first write after each start. What it confirmed is in the log; what it could not write was never confirmed.
"""

import asyncio
import errno
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

_MEGABYTE: Final = 1024 * 1024
RESERVE_BYTES: Final = 32 * _MEGABYTE  # some thousand events: enough to end runs, or to clean up
LEAST_BYTES: Final = 16 * _MEGABYTE  # with less free space the store is not restarted
_PLENTY: Final = 8  # times the reserve that must be free before it is taken
_POLL_SECONDS: Final = 1.0
_REFILL_SECONDS: Final = 60.0
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})

Allocate = Callable[[Path, int], None]


def free_bytes(folder: Path) -> int:
    """Return what is free on the disk of the folder."""
    return shutil.disk_usage(folder).free


def allocate(path: Path, size: int) -> None:
    """Create a file that takes `size` bytes of the disk, or raise OSError and leave no file."""
    with path.open("xb") as file:
        try:
            if sys.platform == "linux":
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.write(bytes(size))
        except OSError:
            path.unlink()
            raise


class DiskReserve:
    """Keeps the reserve in the store's folder; `report` takes a line for the user."""

    def __init__(
        self,
        folder: Path,
        report: Callable[[str], None],
        *,
        free: Callable[[Path], int] = free_bytes,
        allocate: Allocate = allocate,
    ) -> None:
        self._folder = folder
        self._path = folder / "reserve"
        self._probe = folder / "probe"
        self._report = report
        self._free = free
        self._allocate = allocate

    def fill(self) -> None:
        """Create the reserve, unless it exists or the disk has little free space."""
        with suppress(OSError):
            if not self._path.exists() and self._free(self._folder) >= _PLENTY * RESERVE_BYTES:
                self._allocate(self._path, RESERVE_BYTES)

    def release(self) -> bool:
        """Remove the reserve; False when there was none."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True

    async def wait_for_room(self) -> None:
        """Return when the store can write; on a full disk the reserve is removed first."""
        if await self._can_start():
            return
        if self.release():
            left = _in_mb(RESERVE_BYTES)
            self._report(f"the disk of {self._folder} is full: the store continues with its last {left}")
        if await self._can_start():
            return
        self._report(
            f"the disk of {self._folder} is full: nothing can be stored. Remove files; "
            f"with {_in_mb(LEAST_BYTES)} free Baud continues by itself"
        )
        while not await self._can_start():  # noqa: ASYNC110 - free space has no notification
            await asyncio.sleep(_POLL_SECONDS)

    async def keep_filled(self) -> None:
        """Create the reserve again once there is plenty of space, until cancelled."""
        while True:
            await asyncio.to_thread(self.fill)
            await asyncio.sleep(_REFILL_SECONDS)

    async def _can_start(self) -> bool:
        return await asyncio.to_thread(self._has_room)

    def _has_room(self) -> bool:
        """Allocate a file to find out: statvfs ignores quotas. Other errors are left for the store to report."""
        try:
            self._probe.unlink(missing_ok=True)
            self._allocate(self._probe, LEAST_BYTES)
            self._probe.unlink()
        except OSError as error:
            return error.errno not in _FULL
        return True


def _in_mb(count: int) -> str:
    return f"{count // _MEGABYTE} MB"
