"""Every thread id has one folder of its own below the root, and deleting it leaves nothing."""

import os
from pathlib import Path

import pytest

from workflow.service.sandbox.folders import SandboxFolders


@pytest.mark.parametrize("thread_id", ["t1", "3f2a-bc.D_e", "-x", "a" * 100])
def test_a_safe_thread_id_names_its_folder(tmp_path: Path, thread_id: str) -> None:
    assert SandboxFolders.of_thread(tmp_path, thread_id).base == tmp_path / thread_id


@pytest.mark.parametrize(
    "thread_id", ["", ".", "..", "../t1", "/etc", "a/b", ".hidden", "a\0b", "a\n", "ü", "~x", "a" * 101, "\ud800"]
)
def test_any_other_thread_id_is_hashed_to_a_folder_of_its_own(tmp_path: Path, thread_id: str) -> None:
    folders = SandboxFolders.of_thread(tmp_path, thread_id)
    folders.create()
    assert folders.base.parent == tmp_path
    assert folders.base.name.startswith("~")
    assert folders.workspace.is_dir()
    assert folders.base != SandboxFolders.of_thread(tmp_path, f"{thread_id}x").base


@pytest.mark.parametrize("mode", [0o500, 0o400, 0o000])
def test_deleting_follows_no_link_and_undoes_lost_rights(tmp_path: Path, mode: int) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    folders = SandboxFolders.of_thread(tmp_path / "root", "t1")
    folders.create()
    locked = folders.workspace / "locked"
    (locked / "inner").mkdir(parents=True)
    (locked / "inner" / "file").write_text("x")
    (locked / "link").symlink_to(outside)
    for folder in (locked / "inner", locked, folders.workspace):
        folder.chmod(mode)  # root is not held by this: run as another user for the test to bite
    folders.delete()
    folders.delete()
    assert not folders.base.exists()
    assert os.listdir(outside) == ["kept"]
    assert outside.stat().st_mode & 0o777 != 0o700
