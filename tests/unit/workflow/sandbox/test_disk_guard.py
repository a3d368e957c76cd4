"""Of the commands that run while the disk is nearly full, the one that fills it is stopped, and no other."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from workflow.errors import SandboxError
from workflow.service.sandbox.disk_guard import DiskGuard, Space
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

    def guard(self, root: Path) -> DiskGuard:
        return DiskGuard(root, 100 * MB, space=self.space, written=self.written_by)


class Scene:
    """Two commands in separate folders, checked by the test: the guard's own thread sees a disk with room."""

    def __init__(self, root: Path, stack: ExitStack) -> None:
        self.disk = FakeDisk()
        self.guard = self.disk.guard(root)
        self.first, self.second = FakeProcess(NO_PROCESS + 1), FakeProcess(NO_PROCESS + 2)
        self.folders = {self.first.pid: root / "first", self.second.pid: root / "second"}
        for process in (self.first, self.second):
            self.folders[process.pid].mkdir()
            stack.enter_context(self.guard.watch(process, self.folders[process.pid]))

    def check(self, *, free: int, **written: int) -> None:
        self.disk.free = free
        for name, size in written.items():
            self.disk.written[getattr(self, name).pid] = size
        self.guard.check()

    def stopped(self) -> list[str]:
        return [name for name in ("first", "second") if getattr(self, name).stopped_because]


@pytest.fixture
def scene(tmp_path: Path, stack: ExitStack) -> Scene:
    return Scene(tmp_path, stack)


@pytest.fixture
def stack() -> ExitStack:
    return ExitStack()


def test_the_command_that_wrote_most_of_late_is_stopped_with_a_reason(scene: Scene, stack: ExitStack) -> None:
    with stack:
        scene.check(free=150 * MB, first=50_000 * MB, second=1 * MB)
        scene.check(free=90 * MB, first=50_002 * MB, second=60 * MB)
    assert scene.stopped() == ["second"]
    assert scene.second.stopped_because == (
        "The command was stopped: it was filling the disk. The disk is nearly full: 90000000 bytes are free, and"
        " 100000000 have to stay free. Remove what is not needed before you write more."
    )


def test_another_command_is_stopped_only_when_it_goes_on_writing(scene: Scene, stack: ExitStack) -> None:
    with stack:
        scene.check(free=150 * MB, first=0, second=0)
        scene.check(free=90 * MB, first=20 * MB, second=70 * MB)
        assert scene.stopped() == ["second"]
        scene.check(free=80 * MB, first=30 * MB)
    assert scene.stopped() == ["first", "second"]


def test_commands_that_write_nothing_run_on_while_the_disk_is_full(scene: Scene, stack: ExitStack) -> None:
    with stack:
        for _ in range(5):
            scene.check(free=5 * MB, first=500 * MB, second=0)
    assert scene.stopped() == []


def test_slow_writers_go_on_until_half_of_what_is_kept_free_is_gone(scene: Scene, stack: ExitStack) -> None:
    with stack:
        scene.check(free=95 * MB, first=0)
        scene.check(free=94 * MB, first=1_200_000)
        assert scene.stopped() == []
        scene.check(free=49 * MB, first=1_300_000)
    assert scene.stopped() == ["first"]


def test_with_room_enough_nothing_is_stopped_however_much_is_written(scene: Scene, stack: ExitStack) -> None:
    with stack:
        scene.check(free=900 * MB, first=0)
        scene.check(free=250 * MB, first=650 * MB)
        scene.check(free=120 * MB, first=780 * MB)
    assert scene.stopped() == []


def test_what_the_kernel_does_not_count_is_found_in_the_folder_that_grows(scene: Scene, stack: ExitStack) -> None:
    with stack:
        scene.check(free=95 * MB)
        scene.check(free=90 * MB)
        (scene.folders[scene.first.pid] / "file").write_bytes(b"x" * 3 * MB)
        scene.check(free=85 * MB)
    assert scene.stopped() == ["first"]


def test_a_file_is_not_written_into_what_is_kept_free(tmp_path: Path) -> None:
    disk = FakeDisk(free=150 * MB)
    guard = disk.guard(tmp_path)
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
