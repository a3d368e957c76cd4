"""The store's reserve of disk space: taken when there is plenty, given up when there is none."""

import asyncio
import errno
from pathlib import Path

from baud.stack.disk_reserve import LEAST_BYTES, RESERVE_BYTES, DiskReserve

PLENTY = 100 * RESERVE_BYTES


class Disk:
    """A disk with so many bytes free beside the reserve; once taken, it counts as free when it is gone."""

    def __init__(self, folder: Path, free: int) -> None:
        self.reserve_file = folder / "reserve"
        self.free = free
        self.tries = 0
        self.said: list[str] = []
        self.reserve = DiskReserve(folder, self.said.append, free=lambda _folder: self.free, allocate=self.allocate)
        self._had_reserve = False

    def allocate(self, path: Path, size: int) -> None:
        self.tries += 1
        given_back = RESERVE_BYTES if self._had_reserve and not self.reserve_file.exists() else 0
        if size > self.free + given_back:
            raise OSError(errno.ENOSPC, "No space left on device")
        path.touch()
        self._had_reserve = self._had_reserve or path == self.reserve_file


def test_a_reserve_takes_its_room_for_real_and_gives_it_back(tmp_path: Path) -> None:
    reserve = DiskReserve(tmp_path, lambda _line: None)
    reserve.fill()
    (file,) = tmp_path.iterdir()
    assert file.stat().st_blocks * 512 >= RESERVE_BYTES
    assert reserve.release()
    assert list(tmp_path.iterdir()) == []


def test_a_disk_with_little_room_gives_no_reserve(tmp_path: Path) -> None:
    disk = Disk(tmp_path, 2 * RESERVE_BYTES)
    disk.reserve.fill()
    assert not disk.reserve_file.exists()
    assert not disk.reserve.release()


async def test_with_room_nothing_is_waited_for_or_given_up(tmp_path: Path) -> None:
    disk = Disk(tmp_path, PLENTY)
    disk.reserve.fill()
    await disk.reserve.wait_for_room()
    assert disk.reserve_file.exists()
    assert disk.said == []


async def test_on_a_full_disk_the_reserve_is_the_room(tmp_path: Path) -> None:
    disk = Disk(tmp_path, PLENTY)
    disk.reserve.fill()
    disk.free = 0
    await disk.reserve.wait_for_room()
    assert not disk.reserve_file.exists()
    assert len(disk.said) == 1


async def test_without_a_reserve_the_store_waits_for_room(tmp_path: Path) -> None:
    disk = Disk(tmp_path, LEAST_BYTES - 1)
    waiting = asyncio.create_task(disk.reserve.wait_for_room())
    while disk.tries < 3:  # noqa: ASYNC110 - turns of the loop, no time
        await asyncio.sleep(0)
    assert not waiting.done()
    assert "Remove files" in disk.said[0]
    disk.free = LEAST_BYTES
    async with asyncio.timeout(5):
        await waiting


async def test_a_folder_that_is_not_there_is_not_waited_for(tmp_path: Path) -> None:
    said: list[str] = []
    await DiskReserve(tmp_path / "gone", said.append).wait_for_room()
    assert said == []
