"""The store's reserve of disk space: created when there is plenty, removed when there is none."""

import asyncio
import errno
from pathlib import Path

from baud.stack.disk_reserve import LEAST_BYTES, RESERVE_BYTES, DiskReserve

PLENTY = 100 * RESERVE_BYTES


class Disk:
    """A disk with `free` bytes free beside the reserve, whose bytes count as free once it is removed."""

    def __init__(self, folder: Path, free: int) -> None:
        self.reserve_file = folder / "reserve"
        self.free = free
        self.tries = 0
        self.messages: list[str] = []
        self.reserve = DiskReserve(folder, self.messages.append, free=lambda _folder: self.free, allocate=self.allocate)
        self._had_reserve = False

    def allocate(self, path: Path, size: int) -> None:
        self.tries += 1
        released = RESERVE_BYTES if self._had_reserve and not self.reserve_file.exists() else 0
        if size > self.free + released:
            raise OSError(errno.ENOSPC, "No space left on device")
        path.touch()
        self._had_reserve = self._had_reserve or path == self.reserve_file


def test_a_reserve_allocates_its_space_and_frees_it(tmp_path: Path) -> None:
    reserve = DiskReserve(tmp_path, lambda _line: None)
    reserve.fill()
    (file,) = tmp_path.iterdir()
    assert file.stat().st_blocks * 512 >= RESERVE_BYTES
    assert reserve.release()
    assert list(tmp_path.iterdir()) == []


def test_a_disk_with_little_space_gets_no_reserve(tmp_path: Path) -> None:
    disk = Disk(tmp_path, 2 * RESERVE_BYTES)
    disk.reserve.fill()
    assert not disk.reserve_file.exists()
    assert not disk.reserve.release()


async def test_with_free_space_the_reserve_stays(tmp_path: Path) -> None:
    disk = Disk(tmp_path, PLENTY)
    disk.reserve.fill()
    await disk.reserve.wait_for_room()
    assert disk.reserve_file.exists()
    assert disk.messages == []


async def test_on_a_full_disk_the_reserve_is_freed(tmp_path: Path) -> None:
    disk = Disk(tmp_path, PLENTY)
    disk.reserve.fill()
    disk.free = 0
    await disk.reserve.wait_for_room()
    assert not disk.reserve_file.exists()
    assert len(disk.messages) == 1


async def test_without_a_reserve_the_store_waits_for_space(tmp_path: Path) -> None:
    disk = Disk(tmp_path, LEAST_BYTES - 1)
    waiting = asyncio.create_task(disk.reserve.wait_for_room())
    while disk.tries < 3:  # noqa: ASYNC110 - turns of the loop, no time
        await asyncio.sleep(0)
    assert not waiting.done()
    assert "Remove files" in disk.messages[0]
    disk.free = LEAST_BYTES
    async with asyncio.timeout(5):
        await waiting


async def test_a_folder_that_is_not_there_is_not_waited_for(tmp_path: Path) -> None:
    messages: list[str] = []
    await DiskReserve(tmp_path / "gone", messages.append).wait_for_room()
    assert messages == []
