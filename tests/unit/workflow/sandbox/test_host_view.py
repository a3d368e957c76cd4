"""A sandbox sees the tools on PATH, and of the home folder nothing else."""

from collections.abc import Callable, Sequence
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


def shown(tmp_path: Path, path: Sequence[Path], home: Path, hidden: Sequence[Path] = ()) -> list[str]:
    found = tool_folders([str(entry) for entry in path], home, hidden)
    return sorted(str(folder.relative_to(tmp_path)) for folder in found)


@pytest.mark.parametrize(
    "entry",
    [
        "srv/app/bin",
        "opt/tool",
        "home/me/bin",
        "home/me/.local/bin",
        "home/me/.cargo/bin",
        "home/bin",
    ],
)
def test_a_folder_on_path_is_shown_without_what_lies_beside_it(
    folder: Callable[[str], Path], tmp_path: Path, entry: str
) -> None:
    for beside in ("lib", "share", "config"):
        folder(f"{entry}/../{beside}")
    (folder(entry).parent / ".env").write_text("SECRET=1")
    home = folder("home/me")
    assert shown(tmp_path, [folder(entry)], home, [home]) == [entry]


@pytest.mark.parametrize(
    ("sign", "entry", "further"),
    [
        ("lib/node_modules/npm", "opt/node/bin", ()),
        ("lib/python3.12", "opt/python/bin", ()),
        ("lib/python3.12", "srv/app/bin", ()),
        ("pyvenv.cfg/", "srv/app/venv/bin", ("pyvenv.cfg",)),
        ("lib/node_modules", "home/me/.nvm/versions/v20/bin", ()),
        ("libexec/pyenv", "home/me/.pyenv/shims", ("versions", "plugins")),
        ("lib/modules", "opt/jdk/bin", ("conf", "release")),
        ("pkg/tool", "opt/go/bin", ("pkg", "src")),
    ],
)
def test_of_a_known_installation_what_its_programs_need_is_shown_and_no_secret(
    folder: Callable[[str], Path], tmp_path: Path, sign: str, entry: str, further: Sequence[str]
) -> None:
    prefix = folder(entry).parent
    for name in (sign, "lib", "share", "data", ".ssh", *further):
        folder(f"{prefix}/{name}")
    (prefix / ".env").write_text("SECRET=1")
    home = folder("home/me")
    top = prefix.relative_to(tmp_path)
    wanted = {entry, f"{top}/lib", f"{top}/share", *(f"{top}/{name}" for name in further)}
    beside = {f"{top}/libexec"} if sign.startswith("libexec") else set()
    assert shown(tmp_path, [prefix / Path(entry).name], home, [home]) == sorted(wanted | beside)


def test_a_link_out_of_an_installation_is_not_followed(folder: Callable[[str], Path], tmp_path: Path) -> None:
    folder("opt/node/lib/node_modules")
    (tmp_path / "opt/node/share").symlink_to(folder("srv/secret"))
    (tmp_path / "opt/node/lib64").symlink_to("lib")
    found = shown(tmp_path, [folder("opt/node/bin")], folder("home/me"))
    assert found == ["opt/node/bin", "opt/node/lib", "opt/node/lib64"]


def test_a_folder_with_workspaces_in_it_is_left_out(folder: Callable[[str], Path], tmp_path: Path) -> None:
    data = folder("opt/baud/lib/data")
    folder("opt/baud/lib/python3.12")
    assert shown(tmp_path, [folder("opt/baud/bin")], folder("home/me"), [data]) == ["opt/baud/bin"]


def test_the_installation_of_an_environments_python_is_shown_too(folder: Callable[[str], Path], tmp_path: Path) -> None:
    base, venv = folder("opt/python/bin"), folder("srv/app/venv/bin")
    folder("opt/python/lib/python3.12")
    (tmp_path / "srv/app/venv/pyvenv.cfg").write_text("")
    (base / "python3").write_text("")
    (venv / "python3").symlink_to(base / "python3")
    assert shown(tmp_path, [venv], folder("home/me")) == [
        "opt/python/bin", "opt/python/lib", "srv/app/venv/bin", "srv/app/venv/pyvenv.cfg",
    ]  # fmt: skip


def test_missing_and_system_folders_need_no_mount(folder: Callable[[str], Path], tmp_path: Path) -> None:
    assert tool_folders(["/usr/bin", "/bin", str(tmp_path / "not-there")], folder("home/me"), ()) == ()


def test_nothing_secret_of_etc_is_shown() -> None:
    shown = {word for word in system_arguments() if word.startswith("/etc")}
    secret = ("/etc/shadow", "/etc/ssl/private/key.pem", "/etc/ssh/ssh_host_key", "/etc/pip.conf", "/etc/passwd")
    assert shown
    assert not [path for path in secret if any(path == seen or path.startswith(f"{seen}/") for seen in shown)]
