"""Every thread id has one folder of its own below the root, which says whose it is."""

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


@pytest.mark.parametrize("thread_id", ["t1", "../t1", "ü", "\ud800"])
def test_a_folder_says_whose_it_is(tmp_path: Path, thread_id: str) -> None:
    folders = SandboxFolders.of_thread(tmp_path, thread_id)
    folders.create(thread_id)
    assert SandboxFolders(folders.base).thread_id() == thread_id


@pytest.mark.parametrize("name", ["~0123", ".trash", "~probe-x"])
def test_a_folder_that_is_no_threads_belongs_to_nobody(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    assert SandboxFolders(tmp_path / name).thread_id() is None
