"""No path leads out of a workspace, whatever it is made of, and those inside are shown as commands see them."""

from pathlib import Path

import pytest

from workflow.service.sandbox.file_helper.paths import WorkspacePaths
from workflow.service.sandbox.file_helper.refusal import OutsideError, RefusedError


@pytest.fixture
def paths(tmp_path: Path) -> WorkspacePaths:
    root = tmp_path / "workspace"
    (root / "inner" / "deep").mkdir(parents=True)
    (root / "inner" / "file.txt").write_text("x")
    (tmp_path / "secret").write_text("s")
    links = {
        "out": str(tmp_path / "secret"),
        "out-relative": "../secret",
        "out-folder": str(tmp_path),
        "out-dangling": "/nowhere/at/all",
        "out-and-back": "inner/../../workspace/inner",
        "absolute": "/workspace/inner",
        "absolute-out": "/workspace/../secret",
        "looks-inside": "/workspace-of-another/x",
        "relative": "inner/deep",
        "dangling": "not-there-yet",
        "chain": "relative",
        "loop": "loop",
        "self": "/workspace",
    }
    for name, target in links.items():
        (root / name).symlink_to(target)
    (root / "inner" / "up").symlink_to("..")
    return WorkspacePaths(str(root), "/workspace")


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        ("", ()),
        (".", ()),
        ("/workspace", ()),
        ("/workspace/", ()),
        ("a", ("a",)),
        ("/workspace/a/b", ("a", "b")),
        ("a//b/./c/", ("a", "b", "c")),
        ("a/../b", ("b",)),
        ("inner/file.txt", ("inner", "file.txt")),
        ("..a/...", ("..a", "...")),
        ("~/x", ("~", "x")),
        ("relative", ("inner", "deep")),
        ("relative/new", ("inner", "deep", "new")),
        ("relative/../new", ("new",)),
        ("absolute/file.txt", ("inner", "file.txt")),
        ("chain/x", ("inner", "deep", "x")),
        ("dangling", ("not-there-yet",)),
        ("inner/up/inner/up/a", ("a",)),
        ("self/self/a", ("a",)),
    ],
)
def test_paths_inside_resolve_to_names_without_symlinks(
    paths: WorkspacePaths, path: str, leads_to: tuple[str, ...]
) -> None:
    assert paths.resolve(path) == leads_to


@pytest.mark.parametrize(
    "path",
    [
        "..",
        "../secret",
        "a/../../secret",
        "/",
        "/etc/passwd",
        "/workspace/../etc/passwd",
        "/workspaces/a",
        "//workspace/a",
        "a\0b",
        "\ud800",
        "out",
        "out-relative",
        "out-folder/secret",
        "out-dangling",
        "out-dangling/new",
        "out-and-back",
        "absolute-out",
        "looks-inside",
        "inner/up/out",
    ],
)
def test_paths_that_lead_out_are_refused(paths: WorkspacePaths, path: str) -> None:
    with pytest.raises(OutsideError):
        paths.resolve(path)
    with pytest.raises(OutsideError):
        paths.display(path)


def test_a_symlink_to_itself_is_an_error_not_a_hang(paths: WorkspacePaths) -> None:
    with pytest.raises(OSError, match="symbolic links"):
        paths.resolve("loop/x")


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("", "/workspace"),
        ("a/../b", "/workspace/b"),
        ("/workspace/c", "/workspace/c"),
        ("relative/x", "/workspace/relative/x"),
    ],
)
def test_a_path_is_displayed_by_the_name_that_was_asked_for(paths: WorkspacePaths, path: str, shown: str) -> None:
    assert paths.display(path) == shown


def test_without_namespaces_the_real_path_is_the_shown_one(paths: WorkspacePaths) -> None:
    real = WorkspacePaths(paths.root, paths.root)
    assert real.resolve(f"{paths.root}/inner/file.txt") == ("inner", "file.txt")
    assert real.display("a") == f"{paths.root}/a"
    with pytest.raises(OutsideError, match=r"/workspace/a lies outside the workspace"):
        real.resolve("/workspace/a")


@pytest.mark.parametrize("path", ["a/" * 7000, "a" * 4097, "é" * 2049, "./" * 500_000, "../" * 2000])
def test_a_path_longer_than_any_file_can_have_is_refused_at_once(paths: WorkspacePaths, path: str) -> None:
    with pytest.raises(RefusedError, match=r"bytes long; at most 4096"):
        paths.resolve(path)


def test_links_that_multiply_a_path_are_walked_so_far_and_no_further(paths: WorkspacePaths) -> None:
    for number in range(30):
        Path(paths.root, f"l{number}").symlink_to(f"{'inner/../' * 400}l{number + 1}")
    with pytest.raises(OSError, match="symbolic links"):
        paths.resolve("l0")
