"""Builds baud-client and installs it, with what it requires and nothing else, for a project of a user's own."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement

CLIENT = Path(__file__).parents[2] / "distributions" / "client"
# The one that made this environment; the environment itself has no pip.
PYTHON = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
SERVICES = ("shared", "gateway", "modem", "workflow")
_LIMIT_SECONDS = 100  # pip alone needs seconds, and more on a busy machine


def build(target: str, folder: Path, *, source: Path = CLIENT) -> Path:
    """Return the "wheel" or "sdist" that is made from `source`."""
    _call(sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", folder, cwd=source)
    (built,) = folder.glob("*.whl" if target == "wheel" else "*.tar.gz")
    return built


def _call(*command: str | Path, cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=_LIMIT_SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def pip_install(built: Path, python: Path, *options: str | Path) -> None:
    """Install a wheel or an sdist alone; what it requires to be built is where `python` is."""
    exact = ("--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check")
    _call(PYTHON, "-m", "pip", "--python", python, "install", *exact, *options, built, cwd=built.parent)


@dataclass(frozen=True, slots=True)
class UserProject:
    """A folder with modules of its own that are called as the services are, and an environment with baud-client."""

    folder: Path
    environment: Path

    @property
    def python(self) -> Path:
        """The environment's Python."""
        return self.environment / "bin" / "python"

    def call(self, *command: str | Path, **env: str) -> "subprocess.CompletedProcess[str]":
        """Run a command in the project's folder, without variables of the developer's own."""
        return subprocess.run(
            command, cwd=self.folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=_LIMIT_SECONDS, check=False,
        )  # fmt: skip

    def baud(self, *arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
        """Run the command that was installed."""
        return self.call(self.environment / "bin" / "baud", *arguments, **env)


def make_user_project(wheel: Path, folder: Path, *, extras: frozenset[str] = frozenset({"cli"})) -> UserProject:
    """Install the wheel with copies of this environment's packages, as far as its extras require them."""
    project = UserProject(folder / "project", folder / "environment")
    project.folder.mkdir(parents=True)
    for name in ("client", *SERVICES):
        (project.folder / f"{name}.py").write_text(f"WHOSE = 'the {name} of the project'\n")
    _call(sys.executable, "-m", "venv", "--without-pip", project.environment, cwd=folder)
    pip_install(wheel, project.python)
    (packages,) = project.environment.glob("lib/python*/site-packages")
    (client,) = distributions(name="baud-client", path=[str(packages)])
    for required in _required_by(client, extras, set()):
        _copy(required, packages)
    return project


def _required_by(dist: Distribution, extras: frozenset[str], seen: set[tuple[str, str]]) -> Iterator[Distribution]:
    for wanted in map(Requirement, dist.requires or ()):
        key = (wanted.name, ",".join(sorted(wanted.extras)))
        is_wanted = wanted.marker is None or any(wanted.marker.evaluate({"extra": extra}) for extra in ("", *extras))
        if is_wanted and key not in seen:
            seen.add(key)
            found = distribution(wanted.name)
            yield found
            yield from _required_by(found, frozenset(wanted.extras), seen)


def _copy(dist: Distribution, packages: Path) -> None:
    for file in dist.files or ():
        if ".." not in file.parts and "__pycache__" not in file.parts:
            (packages / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(str(dist.locate_file(file)), packages / file)
