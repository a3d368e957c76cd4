"""A code template, copied as the tool copies it, and its commands."""

import os
import shutil
import signal
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

import workflow
from baud.stack.network import claim_port

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
    port = claim_port("127.0.0.1", 0)
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
