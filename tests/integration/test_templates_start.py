"""Each code template, copied as the tool copies it, installs, starts and answers with the app's name."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

import workflow

TEMPLATES = Path(workflow.__file__).parent / "template"
APP_NAME = "tide-table"
INSTALL_SECONDS = 90
STOP_SECONDS = 5
CONNECT_RETRIES = 6  # httpx waits 0, 0.5, 1, 2, 4 and 8 s between them


@dataclass(frozen=True, slots=True)
class App:
    """A copied template and the commands it comes with."""

    folder: Path
    install: str
    start: str


def copy_template(name: str, into: Path) -> App:
    manifest = tomllib.loads((TEMPLATES / name / "template.toml").read_text("utf-8"))
    folder = into / APP_NAME
    shutil.copytree(TEMPLATES / name / "files", folder)
    for file in folder.rglob("*"):
        if file.is_file():
            file.write_text(file.read_text("utf-8").replace("{{app_name}}", APP_NAME), "utf-8")
    return App(folder=folder, install=manifest["install"], start=manifest["start"])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def stop_group(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(STOP_SECONDS)


@contextmanager
def started(app: App) -> Iterator[httpx.Client]:
    """Run the start command on a free port; yield a client that waits for the port to open."""
    port = free_port()
    command = app.start.format(port=port)
    with (
        (app.folder.parent / "server.log").open("wb") as log,
        subprocess.Popen(
            ["bash", "-c", command], cwd=app.folder, stdout=log, stderr=log, start_new_session=True
        ) as process,
        httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            transport=httpx.HTTPTransport(retries=CONNECT_RETRIES),
            timeout=10,
        ) as client,
    ):
        try:
            yield client
        finally:
            stop_group(process)


def run(app: App, command: str) -> None:
    done = subprocess.run(
        ["bash", "-c", command], cwd=app.folder, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def require_npm_registry() -> None:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    asked = subprocess.run(
        ["npm", "view", "react", "version", "--fetch-retries=0", "--fetch-timeout=10000"],
        capture_output=True,
        check=False,
        timeout=60,
    )
    if asked.returncode != 0:
        pytest.skip("the npm registry does not answer")


def test_static_site_serves_its_page_style_and_script(tmp_path: Path) -> None:
    app = copy_template("static-site", tmp_path)
    with started(app) as client:
        page = client.get("/")
        assert page.status_code == 200
        assert f"<title>{APP_NAME}</title>" in page.text
        assert client.get("/style.css").status_code == 200
        assert client.get("/script.js").status_code == 200


def test_fastapi_app_passes_its_tests_and_answers(tmp_path: Path) -> None:
    app = copy_template("fastapi", tmp_path)
    # This environment holds the requirements already, so it stands in for the one that `install` makes.
    (app.folder / ".venv").symlink_to(sys.prefix)
    run(app, ".venv/bin/python -m pytest -q -p no:cacheprovider")
    with started(app) as client:
        assert client.get("/").json()["name"] == APP_NAME
        assert client.get("/health").json() == {"status": "healthy"}
        assert client.post("/items", json={"name": "Ebb"}).json() == {"id": 1, "name": "Ebb", "done": False}


@pytest.mark.slow
def test_vite_react_app_installs_passes_its_tests_and_answers(tmp_path: Path) -> None:
    require_npm_registry()
    app = copy_template("vite-react", tmp_path)
    run(app, app.install)
    run(app, "npm test")
    with started(app) as client:
        page = client.get("/")
        assert page.status_code == 200
        assert f"<title>{APP_NAME}</title>" in page.text
        component = client.get("/src/App.jsx")
        assert component.headers["content-type"].startswith("text/javascript")
        assert APP_NAME in component.text
