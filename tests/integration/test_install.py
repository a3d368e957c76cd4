"""The install script installs what a lock names and nothing else, whatever the index offers that day."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

import pytest

from tests.fakes.fake_package_index import FakePackageIndex, make_wheel
from tests.integration.client_install import PYTHON

pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).parents[2]
LIMIT_SECONDS = 100  # pip alone needs seconds, and more on a busy machine
# An editable install asks the build backend for a wheel; this one has it ready.
_BACKEND = """
import shutil

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    return shutil.copy("baud-1-py3-none-any.whl", wheel_directory) and "baud-1-py3-none-any.whl"
"""
_PROJECT = """
[build-system]
requires = []
build-backend = "ready_backend"
backend-path = ["."]

[project]
name = "baud"
version = "1"
"""


@dataclass(frozen=True, slots=True)
class Project:
    """A folder as ours is, with a lock of its own: `measured` is pinned without the extra that `reporter` asks for."""

    folder: Path
    index: FakePackageIndex
    env: dict[str, str]

    def call(self, *command: str | Path, **env: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command, env=self.env | env, cwd=self.folder, capture_output=True, text=True, timeout=LIMIT_SECONDS,
            check=False,
        )  # fmt: skip

    def install(self, installer: str) -> None:
        script = self.folder / "scripts" / "install_lock.sh"
        done = self.call(script, PYTHON, ".venv", "requirements.lock", BAUD_INSTALLER=installer)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    def installed(self) -> dict[str, str]:
        (packages,) = (self.folder / ".venv").glob("lib/python*/site-packages")
        return {each.metadata["Name"]: each.version for each in distributions(path=[str(packages)])}

    def lock(self, *lines: str) -> None:
        (self.folder / "requirements.lock").write_text("".join(lines))


@pytest.fixture
def index() -> Iterator[FakePackageIndex]:
    with FakePackageIndex() as index:
        yield index


@pytest.fixture
def project(tmp_path: Path, index: FakePackageIndex) -> Project:
    folder = tmp_path / "project"
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    shutil.copy(ROOT / "bootstrap.lock", folder)
    (folder / "pyproject.toml").write_text(_PROJECT)
    (folder / "ready_backend.py").write_text(_BACKEND)
    (folder / "baud-1-py3-none-any.whl").write_bytes(make_wheel("baud", "1"))
    ours = Path(sys.prefix, "uv")
    if ours.exists():
        (folder / ".venv").mkdir()
        (folder / ".venv" / "uv").symlink_to(ours)
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": index.url,
        "UV_NO_CONFIG": "1",
    }
    made = Project(folder, index, env)
    made.lock(
        index.publish("measured", "7.17.3", "Provides-Extra: toml"),
        index.publish("reporter", "6.0", "Requires-Dist: measured[toml]>=7.10.6"),
    )
    return made


def test_the_index_of_the_next_day_breaks_an_install_that_resolves(project: Project) -> None:
    resolving = (PYTHON, "-m", "pip", "install", "--require-hashes", "--requirement", "requirements.lock", "--target")
    assert project.call(*resolving, "today").returncode == 0
    project.index.publish("measured", "7.18.0", "Provides-Extra: toml")
    refused = project.call(*resolving, "tomorrow")
    assert refused.returncode != 0
    assert "measured[toml]>=7.10.6" in refused.stderr


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_the_lock_alone_decides_what_is_installed(project: Project, installer: str) -> None:
    project.index.publish("measured", "7.18.0", "Provides-Extra: toml")
    project.install(installer)
    assert project.installed() == {"baud": "1", "measured": "7.17.3", "reporter": "6.0"}
    project.install(installer)
    project.lock(project.index.publish("measured", "7.19.0"), project.index.publish("joined", "1.0"))
    project.install(installer)
    assert project.installed() == {"baud": "1", "measured": "7.19.0", "joined": "1.0"}


def test_leftovers_of_an_interrupted_install_are_replaced(project: Project) -> None:
    project.install("uv")
    (module,) = (project.folder / ".venv").glob("lib/python*/site-packages/measured.py")
    module.unlink()
    (project.folder / ".venv" / ".installing").touch()
    project.install("pip")
    assert module.exists()


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_a_file_that_is_not_the_locked_one_is_refused(project: Project, installer: str) -> None:
    project.index.publish("measured", "7.17.3", "Provides-Extra: toml", "Summary: other bytes under the same name")
    refused = project.call("scripts/install_lock.sh", PYTHON, ".venv", "requirements.lock", BAUD_INSTALLER=installer)
    assert refused.returncode != 0
    assert "hash" in refused.stderr.lower()


def test_an_unknown_installer_is_named_with_those_there_are(project: Project) -> None:
    refused = project.call("scripts/install_lock.sh", PYTHON, ".venv", "requirements.lock", BAUD_INSTALLER="poetry")
    assert refused.returncode != 0
    assert refused.stderr == "BAUD_INSTALLER is 'poetry': allowed are uv and pip\n"
