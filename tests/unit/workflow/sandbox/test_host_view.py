"""A sandbox sees the tools on PATH, and of the home folder nothing else."""

from collections.abc import Callable
from pathlib import Path

import pytest

from workflow.service.sandbox.host_view import system_arguments, tool_folders


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[str], Path]:
    def make(name: str) -> Path:
        path = tmp_path / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    return make


@pytest.mark.parametrize(
    ("entry", "shown"),
    [
        ("opt/node/bin", "opt/node"),
        ("opt/tool", "opt/tool"),
        ("home/me/bin", "home/me/bin"),
        ("home/me/.local/bin", "home/me/.local/bin"),
        ("home/me/.cargo/bin", "home/me/.cargo/bin"),
        ("home/me/.pyenv/shims", "home/me/.pyenv"),
        ("home/me/.nvm/versions/v20/bin", "home/me/.nvm/versions/v20"),
        ("home/bin", "home/bin"),
    ],
)
def test_a_tool_is_shown_with_its_installation_but_never_the_home(
    folder: Callable[[str], Path], tmp_path: Path, entry: str, shown: str
) -> None:
    home = folder("home/me")
    assert tool_folders([str(folder(entry))], home, (home,)) == (tmp_path / shown,)


def test_a_folder_with_workspaces_in_it_is_left_out(folder: Callable[[str], Path]) -> None:
    data = folder("opt/baud/data")
    assert tool_folders([str(folder("opt/baud/bin"))], folder("home/me"), (data,)) == ()


def test_the_installation_of_an_environments_python_is_shown_too(folder: Callable[[str], Path], tmp_path: Path) -> None:
    base, venv = folder("opt/python/bin"), folder("srv/app/venv/bin")
    (base / "python3").write_text("")
    (venv / "python3").symlink_to(base / "python3")
    assert tool_folders([str(venv)], folder("home/me"), ()) == (tmp_path / "srv/app/venv", tmp_path / "opt/python")


def test_missing_and_system_folders_need_no_mount(folder: Callable[[str], Path], tmp_path: Path) -> None:
    assert tool_folders(["/usr/bin", "/bin", str(tmp_path / "not-there")], folder("home/me"), ()) == ()


def test_nothing_secret_of_etc_is_shown() -> None:
    shown = {word for word in system_arguments() if word.startswith("/etc")}
    secret = ("/etc/shadow", "/etc/ssl/private/key.pem", "/etc/ssh/ssh_host_key", "/etc/pip.conf", "/etc/passwd")
    assert shown
    assert not [path for path in secret if any(path == seen or path.startswith(f"{seen}/") for seen in shown)]
