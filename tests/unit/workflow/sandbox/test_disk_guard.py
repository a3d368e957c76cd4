"""Of the commands that run while the disk is nearly full, the one that fills it is stopped, and no other."""

import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from workflow.errors import SandboxError
from workflow.service.sandbox.disk_guard import DiskGuard, FullDiskCheck, Space, WatchedCommand
from workflow.service.sandbox.disk_use import folder_bytes, processes_below

MB = 1_000_000
NO_PROCESS = 2**22  # above what the kernel gives out


@dataclass
class FakeProcess:
    pid: int
    stopped_because: str = ""

    def kill_because(self, reason: str) -> None:
        self.stopped_because = reason


@dataclass
class FakeDisk:
    """1 GB, of which 100 MB are to be kept free."""

    free: int = 1000 * MB
    written: dict[int, int] = field(default_factory=dict)

    def space(self, folder: Path) -> Space:
        return Space(1000 * MB, self.free)

    def written_by(self, leaders: Sequence[int]) -> Mapping[int, int]:
        return {leader: self.written.get(leader, 0) for leader in leaders}


class Scene:
    """Two commands in separate folders, checked by the test with a clock of its own: a tenth of a second each."""

    def __init__(self, root: Path) -> None:
        self.disk = FakeDisk()
        self.now = 0.0
        self.full_disk = FullDiskCheck(
            root, 100 * MB, space=self.disk.space, written=self.disk.written_by, clock=lambda: self.now
        )
        self.first, self.second = FakeProcess(NO_PROCESS + 1), FakeProcess(NO_PROCESS + 2)
        self.folders = {self.first.pid: root / "first", self.second.pid: root / "second"}
        self.watched = [WatchedCommand(each, self.folders[each.pid]) for each in (self.first, self.second)]
        for folder in self.folders.values():
            folder.mkdir()

    def check(self, *, free: int, **written: int) -> None:
        self.disk.free = free
        self.now += 0.1
        for name, size in written.items():
            self.disk.written[getattr(self, name).pid] = size
        self.full_disk.check(self.watched)

    def stopped(self) -> list[str]:
        return [name for name in ("first", "second") if getattr(self, name).stopped_because]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_the_command_that_wrote_most_of_late_is_stopped_with_a_reason(scene: Scene) -> None:
    scene.check(free=150 * MB, first=50_000 * MB, second=1 * MB)
    scene.check(free=90 * MB, first=50_002 * MB, second=60 * MB)
    assert scene.stopped() == ["second"]
    assert scene.second.stopped_because == (
        "The command was stopped: it was filling the disk. The disk is nearly full: 90000000 bytes are free, and"
        " 100000000 have to stay free. Remove what is not needed before you write more."
    )


def test_another_command_is_stopped_only_when_it_goes_on_writing(scene: Scene) -> None:
    scene.check(free=150 * MB, first=0, second=0)
    scene.check(free=90 * MB, first=20 * MB, second=70 * MB)
    assert scene.stopped() == ["second"]
    scene.check(free=80 * MB, first=30 * MB)
    assert scene.stopped() == ["first", "second"]


def test_commands_that_write_nothing_run_on_while_the_disk_is_full(scene: Scene) -> None:
    for _ in range(5):
        scene.check(free=5 * MB, first=500 * MB, second=0)
    assert scene.stopped() == []


def test_slow_writers_go_on_until_half_of_what_is_kept_free_is_gone(scene: Scene) -> None:
    scene.check(free=95 * MB, first=0)
    scene.check(free=94 * MB, first=1_200_000)
    assert scene.stopped() == []
    scene.check(free=49 * MB, first=1_300_000)
    assert scene.stopped() == ["first"]


def test_with_room_enough_nothing_is_stopped_however_much_is_written(scene: Scene) -> None:
    scene.check(free=900 * MB, first=0)
    scene.check(free=250 * MB, first=650 * MB)
    scene.check(free=120 * MB, first=780 * MB)
    assert scene.stopped() == []


def test_what_the_kernel_does_not_count_is_found_in_the_folder_that_grows(scene: Scene) -> None:
    scene.check(free=95 * MB)
    scene.check(free=90 * MB)
    (scene.folders[scene.first.pid] / "file").write_bytes(b"x" * 3 * MB)
    scene.check(free=85 * MB)
    assert scene.stopped() == ["first"]


def test_what_was_written_more_than_a_second_ago_stops_nobody(scene: Scene) -> None:
    scene.check(free=90 * MB, first=0)
    scene.check(free=90 * MB, first=0, second=0)
    scene.now += 5
    scene.check(free=85 * MB, first=3 * MB)
    assert scene.stopped() == []


def test_the_guard_checks_while_a_command_runs(tmp_path: Path) -> None:
    seen = threading.Event()
    disk = FakeDisk(free=90 * MB)

    class Noticed(FakeProcess):
        def kill_because(self, reason: str) -> None:
            super().kill_because(reason)
            seen.set()

    def space(folder: Path) -> Space:
        (tmp_path / "file").write_bytes(b"x" * (next(sizes) * 3 * MB))
        disk.free -= 3 * MB
        return disk.space(folder)

    sizes = iter(range(1000))
    process = Noticed(NO_PROCESS + 1)
    with DiskGuard(tmp_path, 100 * MB, space=space).watch(process, tmp_path):
        assert seen.wait(30)
    assert "filling the disk" in process.stopped_because


def test_a_file_is_not_written_into_what_is_kept_free(tmp_path: Path) -> None:
    disk = FakeDisk(free=150 * MB)
    guard = DiskGuard(tmp_path, 100 * MB, space=disk.space)
    guard.require_room(99 * MB)
    with pytest.raises(SandboxError, match="Nothing was written: The disk is nearly full"):
        guard.require_room(101 * MB)


def test_of_a_small_disk_a_quarter_is_kept_free_at_most(tmp_path: Path) -> None:
    disk = FakeDisk(free=260 * MB)
    guard = DiskGuard(tmp_path, 10_000 * MB, space=disk.space)
    guard.require_room(134 * MB)
    with pytest.raises(SandboxError, match="125000000 have to stay free"):
        guard.require_room(136 * MB)


def test_a_process_in_a_session_of_its_own_belongs_to_who_started_it() -> None:
    with subprocess.Popen(["sh", "-c", "setsid sleep 100 & echo; wait"], stdout=subprocess.PIPE) as leader:
        assert leader.stdout is not None
        leader.stdout.readline()
        try:
            assert len(processes_below([leader.pid])[leader.pid]) == 2
        finally:
            for pid in processes_below([leader.pid])[leader.pid]:
                os.kill(pid, signal.SIGKILL)


def test_the_size_of_a_folder_is_that_of_all_its_files(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_bytes(b"x" * 3 * MB)
    (tmp_path / "a" / "link").symlink_to("/")
    assert 3 * MB <= folder_bytes(tmp_path) < 3.1 * MB
