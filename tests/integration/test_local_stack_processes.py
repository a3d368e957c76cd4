"""The launcher and its child processes, with a fake gateway and fake modems."""

import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
import redis

STORE = "-server 127.0.0.1:"  # how valkey-server and redis-server call themselves
READY = re.compile(r"baud ready gateway=(http://127\.0\.0\.1:\d+) redis=(redis://127\.0\.0\.1:\d+/0)\n")


class RunningStack:
    """A stack in a process of its own, ready."""

    def __init__(self, folder: Path, *arguments: str, log: Path | None = None) -> None:
        self.folder = folder
        self.log = log or folder.parent / f"{folder.name}.stderr"
        with self.log.open("wb") as log_file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.fakes.fake_stack", str(folder), *arguments],
                stdout=subprocess.PIPE,
                stderr=log_file,
                text=True,
            )
        assert self.process.stdout is not None
        found = READY.fullmatch(self.process.stdout.readline())
        assert found, self.stderr()
        self.url, self.redis_url = found.groups()
        self.children = psutil.Process(self.process.pid).children(recursive=True)

    def stderr(self) -> str:
        return self.log.read_text()

    def child(self, word: str) -> psutil.Process:
        family = psutil.Process(self.process.pid).children(recursive=True)
        return next(child for child in family if word in " ".join(child.cmdline()))

    def has_other(self, word: str, former: psutil.Process) -> bool:
        """Whether another process has replaced the former one."""
        try:
            return self.child(word).pid != former.pid
        except (StopIteration, psutil.NoSuchProcess):
            return False

    def redis(self) -> "redis.Redis":
        password = (self.folder / "redis" / "password").read_text().strip()
        return redis.Redis.from_url(self.redis_url, password=password)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(20)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[RunningStack]:
    running = RunningStack(tmp_path / "data")
    yield running
    running.close()


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < end, "the condition was not met in time"
        pause.wait(0.02)


def is_healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.TransportError:
        return False


def all_gone(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=5)
    return not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


def start_refused(folder: Path, *arguments: str) -> str:
    result = subprocess.run(
        [sys.executable, "-m", "tests.fakes.fake_stack", str(folder), *arguments],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert result.returncode == 1
    assert result.stdout == ""
    return result.stderr


def test_the_password_of_redis_is_not_visible_to_others(stack: RunningStack) -> None:
    password_file = stack.folder / "redis" / "password"
    assert stat.S_IMODE(password_file.stat().st_mode) == 0o600
    password = password_file.read_text().strip()
    assert len(stack.children) == 4
    assert not any(password in " ".join(child.cmdline()) for child in stack.children)
    with redis.Redis.from_url(stack.redis_url) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    with stack.redis() as ours:
        assert ours.ping()


@pytest.mark.parametrize("word", ["fake_gateway", STORE])
def test_a_service_that_dies_is_started_again(stack: RunningStack, word: str) -> None:
    before = stack.child(word)
    before.kill()
    until(lambda: "is running again" in stack.stderr())
    until(lambda: is_healthy(stack.url))
    until(lambda: stack.has_other(word, before))
    assert "was killed by SIGKILL; starting it again in 1 s" in stack.stderr()


def test_a_launcher_that_can_write_nothing_keeps_its_services(tmp_path: Path) -> None:
    stack = RunningStack(tmp_path / "data", log=Path("/dev/full"))
    for word in ("fake_gateway", STORE):
        before = stack.child(word)
        before.kill()
        until(lambda word=word, before=before: stack.has_other(word, before))  # type: ignore[misc] # bound at once
        until(lambda: is_healthy(stack.url))
    stack.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_modems_first_and_leaves_nothing(stack: RunningStack, number: signal.Signals) -> None:
    stack.process.send_signal(number)
    assert stack.process.wait(20) == 0
    assert all_gone(stack.children)
    assert (stack.folder / "modem-stop").read_text() == "redis=True gateway=True"


def test_a_second_signal_ends_without_waiting(tmp_path: Path) -> None:
    stack = RunningStack(tmp_path / "data", "--stubborn-modem")
    stack.process.send_signal(signal.SIGINT)
    until((stack.folder / "modem-stop").exists)
    stack.process.send_signal(signal.SIGINT)
    assert stack.process.wait(10) == 0  # well before the modem's own limit
    assert all_gone(stack.children)
    stack.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["dead", "hung"])
def test_without_redis_the_end_does_not_wait_long(tmp_path: Path, number: signal.Signals) -> None:
    stack = RunningStack(tmp_path / "data", "--stubborn-modem")
    stack.child(STORE).send_signal(number)
    stack.process.terminate()
    assert stack.process.wait(30) == 0
    assert "modem-1 did not stop within 3 s; killing it" in stack.stderr()
    assert all_gone(stack.children)
    stack.close()


def test_a_killed_launcher_takes_its_children_with_it(stack: RunningStack) -> None:
    stack.process.kill()
    stack.process.wait(5)
    assert all_gone(stack.children)


def test_what_was_stored_is_there_after_a_kill(tmp_path: Path) -> None:
    first = RunningStack(tmp_path / "data")
    with first.redis() as before:
        before.set("key", "kept")
    first.process.kill()
    first.process.wait(5)
    assert all_gone(first.children)
    first.close()
    second = RunningStack(tmp_path / "data")
    with second.redis() as after:
        assert after.get("key") == b"kept"
    assert second.redis_url == first.redis_url
    second.close()


def test_a_second_stack_in_the_same_folder_is_refused(stack: RunningStack) -> None:
    assert f"pid {stack.process.pid}" in start_refused(stack.folder)
    assert is_healthy(stack.url)


def test_a_taken_port_is_refused_clearly(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"cannot listen on 127.0.0.1:{port}" in start_refused(tmp_path / "data", "--port", str(port))


def test_a_service_that_cannot_start_ends_the_start(tmp_path: Path) -> None:
    stderr = start_refused(tmp_path / "data", "--broken-modem")
    assert "no model is configured" in stderr
    assert re.search(r"modem-\d exited with code 1 before the stack was ready", stderr)
