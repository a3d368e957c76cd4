"""Files are read, written and listed whole and inside the workspace, even while a command moves things about."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from workflow.errors import PathOutsideWorkspaceError, SandboxError
from workflow.service.sandbox.confine import WorkspacePaths
from workflow.service.sandbox.workspace_files import WorkspaceFiles


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


@pytest.fixture
def files(root: Path) -> WorkspaceFiles:
    return WorkspaceFiles(WorkspacePaths(root, "/workspace"))


class SwappedPaths(WorkspacePaths):
    """Paths whose check has been overtaken: what was a folder is now something else."""

    def resolve(self, path: str) -> tuple[str, ...]:
        return tuple(path.split("/"))


def test_a_written_file_replaces_the_old_one_and_keeps_its_mode(root: Path, files: WorkspaceFiles) -> None:
    script = root / "run.sh"
    script.write_text("old")
    script.chmod(0o755)
    files.write({"run.sh": b"new"})
    assert script.read_text() == "new"
    assert script.stat().st_mode & 0o777 == 0o755
    assert os.listdir(root) == ["run.sh"]


def test_one_bad_path_keeps_every_file_from_being_written(root: Path, files: WorkspaceFiles) -> None:
    with pytest.raises(PathOutsideWorkspaceError):
        files.write({"good": b"x", "../bad": b"x"})
    (root / "taken").mkdir()
    with pytest.raises(IsADirectoryError):
        files.write({"good": b"x", "taken": b"x"})
    assert os.listdir(root) == ["taken"]


def test_a_write_through_a_link_inside_changes_its_target(root: Path, files: WorkspaceFiles) -> None:
    (root / "link").symlink_to("/workspace/sub/target")
    files.write({"link": b"x"})
    assert (root / "link").is_symlink()
    assert (root / "sub" / "target").read_bytes() == b"x"


def test_a_failed_write_leaves_no_temporary_file(root: Path, files: WorkspaceFiles) -> None:
    with pytest.raises(OSError, match="name too long"):
        files.write({"n" * 300: b"x"})
    with pytest.raises(OSError, match="name too long"):
        WorkspaceFiles(SwappedPaths(root, "/workspace")).write({"sub/" + "n" * 300: b"x"})
    assert [path for path in root.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    "use",
    [
        lambda files: files.read("folder/secret", None),
        lambda files: files.write({"folder/new": b"x"}),
        lambda files: files.list_folder("folder", recursive=False, limit=10),
        lambda files: files.new_numbered("folder", ".log"),
    ],
    ids=["read", "write", "list", "log"],
)
def test_a_folder_swapped_for_a_link_after_the_check_leads_nowhere(
    root: Path, tmp_path: Path, use: Callable[[WorkspaceFiles], object]
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("s")
    (root / "folder").symlink_to(outside)
    with pytest.raises(NotADirectoryError):
        use(WorkspaceFiles(SwappedPaths(root, "/workspace")))
    assert os.listdir(outside) == ["secret"]


def test_a_file_swapped_for_a_link_after_the_check_is_not_read(root: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    (root / "file").symlink_to(tmp_path / "secret")
    with pytest.raises(SandboxError, match="not a regular file"):
        WorkspaceFiles(SwappedPaths(root, "/workspace")).read("file", None)


def test_a_pipe_is_refused_and_does_not_hang(root: Path, files: WorkspaceFiles) -> None:
    os.mkfifo(root / "pipe")
    with pytest.raises(SandboxError, match="not a regular file"):
        files.read("pipe", None)
    with pytest.raises(SandboxError, match="not a regular file"):
        files.write({"pipe": b"x"})
    with pytest.raises(NotADirectoryError):
        files.list_folder("pipe", recursive=True, limit=10)


def test_a_listing_shows_links_but_does_not_follow_them(root: Path, files: WorkspaceFiles) -> None:
    (root / "folder").mkdir()
    (root / "folder" / "file").write_text("12345")
    (root / "link").symlink_to("folder")
    found = files.list_folder("", recursive=True, limit=10)
    assert [(entry.path, entry.is_dir) for entry in found] == [
        ("folder", True),
        ("folder/file", False),
        ("link", False),
    ]
    assert found[1].size_bytes == 5


def test_at_the_limit_what_is_near_the_folder_is_kept(root: Path, files: WorkspaceFiles) -> None:
    files.write({f"a/{number}": b"" for number in range(50)} | {"z.txt": b""})
    found = files.list_folder("", recursive=True, limit=5)
    assert len(found) == 5
    assert "z.txt" in {entry.path for entry in found}


def test_a_name_that_is_not_utf8_is_listed_readably(root: Path, files: WorkspaceFiles) -> None:
    with open(os.fsencode(root) + b"/caf\xe9", "wb"):
        pass
    (entry,) = files.list_folder("", recursive=False, limit=10)
    assert entry.path == "caf\N{REPLACEMENT CHARACTER}"


def test_numbered_files_never_take_an_old_number(root: Path, files: WorkspaceFiles) -> None:
    taken = []
    for _ in range(2):
        descriptor, path = files.new_numbered("logs", ".log")
        os.close(descriptor)
        taken.append(path)
    assert taken == ["logs/1.log", "logs/2.log"]
    assert sorted(os.listdir(root / "logs")) == ["1.log", "2.log"]
