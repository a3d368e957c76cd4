"""baud-client puts nothing but `baud` into an environment, needs little there, and is the same from an sdist."""

import socket
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from distributions.client.hatch_build import client_module
from tests.integration.client_install import (
    SERVICES,
    UserProject,
    build,
    make_user_project,
    pip_install,
)

pytestmark = pytest.mark.timeout(300)

# Imports every module that is installed, and prints the modules that came from the project's folder.
_IMPORT_ALL = """
import importlib, pkgutil, sys
import client, shared, gateway, modem, workflow
import baud
from baud import Baud, AsyncBaud
for module in pkgutil.walk_packages(baud.__path__, "baud."):
    importlib.import_module(module.name)
for name in ("client", "shared", "gateway", "modem", "workflow"):
    print(sys.modules[name].WHOSE)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="module")
def project(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> UserProject:
    return make_user_project(wheel, tmp_path_factory.mktemp("user"))


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*.py")}


def test_the_wheel_holds_one_package_and_its_metadata(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        sources = {name: archive.read(name).decode() for name in names if name.endswith(".py")}
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"baud"}
    assert [name for name in names if name.startswith("baud/stack/")] == []
    assert "baud/_contract/api.py" in names
    assert [name for name, text in sources.items() if "shared.contract" in text] == []


def test_modules_of_the_project_stay_the_ones_imported(project: UserProject) -> None:
    done = project.call(project.python, "-c", _IMPORT_ALL)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"the {name} of the project" for name in ("client", *SERVICES)]


@pytest.mark.parametrize("service", [*SERVICES, "baud.stack"])
def test_no_service_can_be_imported(project: UserProject, service: str) -> None:
    done = project.call(project.python, "-P", "-c", f"import {service}")
    assert done.returncode == 1
    assert f"No module named '{service}'" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("up",), "baud up starts Redis, gateway and modems, which baud-client does not have"),
        (("run", "a task"), "baud-client has none to start: give --url, or "),
    ],
    ids=["up", "run"],
)
def test_what_needs_the_services_says_how_to_get_them(
    project: UserProject, arguments: tuple[str, ...], reason: str
) -> None:
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", 8000)), "a gateway is at the default address, and would be used: stop it"
    done = project.baud(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("baud: error: ")
    assert reason in line
    assert "pip install baud" in line


def test_the_version_names_the_distribution(project: UserProject, wheel: Path) -> None:
    assert project.baud("--version").stdout == f"baud-client {wheel.name.split('-')[1]}\n"


def test_without_the_extra_the_sdk_works_and_the_command_names_it(wheel: Path, tmp_path: Path) -> None:
    bare = make_user_project(wheel, tmp_path, extras=frozenset())
    assert bare.call(bare.python, "-c", "from baud import Baud, AsyncBaud").returncode == 0
    for command in (bare.baud("threads"), bare.call(bare.python, "-m", "baud", "threads")):
        assert command.returncode == 1
        assert command.stderr == "baud: error: the command needs typer: pip install 'baud-client[cli]'\n"


@pytest.mark.parametrize(
    "line", ["import gateway", "from shared.store.runs import RunStore", "import shared.contract.api"]
)
def test_a_client_that_imports_a_service_is_not_built(line: str) -> None:
    with pytest.raises(ValueError, match="which baud-client does not have"):
        client_module(line, Path("baud/sdk/new.py"))


def test_an_sdist_makes_the_same_wheel_without_the_project(wheel: Path, tmp_path: Path) -> None:
    sdist = build("sdist", tmp_path / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (source,) = (tmp_path / "unpacked").iterdir()
    assert build("wheel", tmp_path / "again", source=source).read_bytes() == wheel.read_bytes()


def test_pip_installs_the_sdist(tmp_path: Path, wheel: Path) -> None:
    pip_install(build("sdist", tmp_path / "sdist"), Path(sys.executable), "--target", tmp_path / "one")
    pip_install(wheel, Path(sys.executable), "--target", tmp_path / "other")
    assert files_of(tmp_path / "one") == files_of(tmp_path / "other")
