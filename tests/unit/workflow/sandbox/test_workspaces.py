"""A workspace is removed completely, by one worker only, and never while it is in use."""

import gc
import os
import time
from pathlib import Path

import pytest

from workflow.errors import SandboxError
from workflow.service.sandbox import folder_lock
from workflow.service.sandbox.folder_lock import FolderLock
from workflow.service.sandbox.folders import SandboxFolders
from workflow.service.sandbox.workspaces import Workspace, Workspaces


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    folders = SandboxFolders.of_thread(tmp_path, "t1")
    folders.create("t1")
    return Workspace("t1", folders.base)


async def discard(root: Path, workspace: Workspace) -> bool:
    workspaces = Workspaces(root)
    lock = workspaces.lock(workspace)
    assert lock is not None
    workspaces.discard(workspace)
    lock.release()
    return await workspaces.empty_trash()


@pytest.mark.parametrize("mode", [0o500, 0o400, 0o000])
async def test_removing_follows_no_link_and_undoes_lost_rights(tmp_path: Path, workspace: Workspace, mode: int) -> None:
    outside = tmp_path / ".outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    locked = workspace.folder / "workspace" / "locked"
    (locked / "inner").mkdir(parents=True)
    (locked / "inner" / "file").write_text("x")
    (locked / "link").symlink_to(outside)
    for folder in (locked / "inner", locked, workspace.folder / "workspace"):
        folder.chmod(mode)  # root is not held by this: run as another user for the test to bite
    assert await discard(tmp_path, workspace)
    assert os.listdir(outside) == ["kept"]
    assert outside.stat().st_mode & 0o777 != 0o700
    assert Workspaces(tmp_path).all() == []


async def test_a_chain_of_folders_deeper_than_any_path_is_removed(tmp_path: Path, workspace: Workspace) -> None:
    descriptor = os.open(workspace.folder, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d" * 10, dir_fd=descriptor)
        inner = os.open("d" * 10, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.close(descriptor)
    assert await discard(tmp_path, workspace)


def test_a_workspace_in_use_is_not_removed_and_one_being_removed_is_not_used(
    tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_lock, "_WAIT_SECONDS", 0.05)
    workspaces = Workspaces(tmp_path)
    first, second = FolderLock.to_use(workspace.folder), FolderLock.to_use(workspace.folder)
    first.release()
    assert workspaces.lock(workspace) is None
    second.release()
    removing = workspaces.lock(workspace)
    assert removing is not None
    assert workspaces.lock(workspace) is None
    with pytest.raises(SandboxError, match="is being removed"):
        FolderLock.to_use(workspace.folder)
    workspaces.discard(workspace)
    FolderLock.to_use(workspace.folder).release()
    assert os.listdir(workspace.folder) == ["lock"], "whoever opens it then finds a new one"
    removing.release()


def test_a_removed_workspace_cannot_be_locked(tmp_path: Path, workspace: Workspace) -> None:
    lock = Workspaces(tmp_path).lock(workspace)
    assert lock is not None
    Workspaces(tmp_path).discard(workspace)
    lock.release()
    assert Workspaces(tmp_path).lock(workspace) is None


def test_a_folder_that_is_no_sandbox_is_never_taken_for_one(tmp_path: Path, workspace: Workspace) -> None:
    (tmp_path / "photos" / "workspace").mkdir(parents=True)
    assert Workspaces(tmp_path).all() == [workspace]


def test_a_lock_that_nobody_took_over_is_given_back(tmp_path: Path, workspace: Workspace) -> None:
    FolderLock.to_use(workspace.folder)
    gc.collect()
    assert Workspaces(tmp_path).lock(workspace) is not None


def test_a_disk_has_one_name_for_all_workers(tmp_path: Path) -> None:
    name = Workspaces(tmp_path / "a").disk_id()
    assert Workspaces(tmp_path / "a").disk_id() == name
    assert Workspaces(tmp_path / "b").disk_id() != name
    assert os.listdir(tmp_path / "a") == [".disk-id"]


def test_absence_counts_from_the_first_check_of_the_same_redis(tmp_path: Path, workspace: Workspace) -> None:
    workspaces = Workspaces(tmp_path)
    assert workspaces.absent_seconds(workspace, "redis 1") == 0
    earlier = time.time() - 4000
    os.utime(workspace.folder / "absent", (earlier, earlier))
    assert Workspaces(tmp_path).absent_seconds(workspace, "redis 1") >= 4000, "also after a restart"
    assert workspaces.absent_seconds(workspace, "redis 2") == 0
    os.utime(workspace.folder / "absent", (earlier, earlier))
    workspaces.forget_absence(workspace)
    assert workspaces.absent_seconds(workspace, "redis 2") == 0
