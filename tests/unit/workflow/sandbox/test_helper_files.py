"""Files are read, written and listed inside the workspace only, even while a command moves files."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from workflow.service.sandbox.file_helper.folders import Folders
from workflow.service.sandbox.file_helper.listing import Listed, Listing
from workflow.service.sandbox.file_helper.paths import WorkspacePaths
from workflow.service.sandbox.file_helper.reading import read_bytes
from workflow.service.sandbox.file_helper.refusal import OutsideError, RefusedError
from workflow.service.sandbox.file_helper.walk import Budget, walk
from workflow.service.sandbox.file_helper.writing import new_numbered, write_files


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


@pytest.fixture
def files(root: Path) -> Folders:
    return Folders(WorkspacePaths(str(root), "/workspace"))


def list_folder(files: Folders, path: str, *, recursive: bool, limit: int) -> list[Listed]:
    listing = Listing(recursive=recursive, limit=limit)
    with files.open(files.paths.resolve(path)) as folder:
        walk(folder, 0, listing.visit, Budget())
    return listing.entries()


class SwappedPaths(WorkspacePaths):
    """Paths whose check has been overtaken: what was a folder is now something else."""

    def resolve(self, path: str) -> tuple[str, ...]:
        return tuple(path.split("/"))


def test_a_written_file_replaces_the_old_one_and_keeps_its_mode(root: Path, files: Folders) -> None:
    script = root / "run.sh"
    script.write_text("old")
    script.chmod(0o755)
    write_files(files, {"run.sh": b"new"})
    assert script.read_text() == "new"
    assert script.stat().st_mode & 0o777 == 0o755
    assert os.listdir(root) == ["run.sh"]


def test_one_bad_path_keeps_every_file_from_being_written(root: Path, files: Folders) -> None:
    with pytest.raises(OutsideError):
        write_files(files, {"good": b"x", "../bad": b"x"})
    (root / "taken").mkdir()
    with pytest.raises(IsADirectoryError):
        write_files(files, {"good": b"x", "taken": b"x"})
    assert os.listdir(root) == ["taken"]


def test_a_write_through_a_link_inside_changes_its_target(root: Path, files: Folders) -> None:
    (root / "link").symlink_to("/workspace/sub/target")
    write_files(files, {"link": b"x"})
    assert (root / "link").is_symlink()
    assert (root / "sub" / "target").read_bytes() == b"x"


def test_a_failed_write_leaves_no_temporary_file(root: Path, files: Folders) -> None:
    with pytest.raises(OSError, match="name too long"):
        write_files(files, {"n" * 300: b"x"})
    with pytest.raises(OSError, match="name too long"):
        write_files(Folders(SwappedPaths(str(root), "/workspace")), {"sub/" + "n" * 300: b"x"})
    assert [path for path in root.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    "use",
    [
        lambda files: read_bytes(files, "folder/secret", 100),
        lambda files: write_files(files, {"folder/new": b"x"}),
        lambda files: list_folder(files, "folder", recursive=False, limit=10),
        lambda files: new_numbered(files, "folder", ".log"),
    ],
    ids=["read", "write", "list", "log"],
)
def test_a_folder_swapped_for_a_link_after_the_check_leads_nowhere(
    root: Path, tmp_path: Path, use: Callable[[Folders], object]
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("s")
    (root / "folder").symlink_to(outside)
    with pytest.raises(NotADirectoryError):
        use(Folders(SwappedPaths(str(root), "/workspace")))
    assert os.listdir(outside) == ["secret"]


def test_a_file_swapped_for_a_link_after_the_check_is_not_read(root: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    (root / "file").symlink_to(tmp_path / "secret")
    with pytest.raises(RefusedError, match="not a regular file"):
        read_bytes(Folders(SwappedPaths(str(root), "/workspace")), "file", 100)


def test_a_pipe_is_refused_and_does_not_hang(root: Path, files: Folders) -> None:
    os.mkfifo(root / "pipe")
    with pytest.raises(RefusedError, match="not a regular file"):
        read_bytes(files, "pipe", 100)
    with pytest.raises(RefusedError, match="not a regular file"):
        write_files(files, {"pipe": b"x"})
    with pytest.raises(NotADirectoryError):
        list_folder(files, "pipe", recursive=True, limit=10)


def test_a_listing_shows_links_but_does_not_follow_them(root: Path, files: Folders) -> None:
    (root / "folder").mkdir()
    (root / "folder" / "file").write_text("12345")
    (root / "link").symlink_to("folder")
    found = list_folder(files, "", recursive=True, limit=10)
    assert [entry[:2] for entry in found] == [
        ("folder", True),
        ("folder/file", False),
        ("link", False),
    ]
    assert found[1][2] == 5


def test_at_the_limit_what_is_near_the_folder_is_kept(root: Path, files: Folders) -> None:
    write_files(files, {f"a/{number}": b"" for number in range(50)} | {"z.txt": b""})
    found = list_folder(files, "", recursive=True, limit=5)
    assert len(found) == 5
    assert "z.txt" in {entry[0] for entry in found}


def test_a_name_that_is_not_utf8_is_listed_readably(root: Path, files: Folders) -> None:
    with open(os.fsencode(root) + b"/caf\xe9", "wb"):
        pass
    (entry,) = list_folder(files, "", recursive=False, limit=10)
    assert entry[0] == "caf\N{REPLACEMENT CHARACTER}"


def test_numbered_files_never_take_an_old_number(root: Path, files: Folders) -> None:
    assert new_numbered(files, "logs", ".log") == ("logs/1.log", ("logs", "1.log"))
    (root / "logs" / "7.log").touch()
    assert new_numbered(files, "logs", ".log")[0] == "logs/8.log"
    assert sorted(os.listdir(root / "logs")) == ["1.log", "7.log", "8.log"]
