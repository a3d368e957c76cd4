"""The complete stack as a user starts it: `baud up` and `baud run`, with the offline model and real processes."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from baud import Baud, Event, StopReason
from baud.sdk.gateway_address import DEFAULT_URL
from baud.terminal.render import completion_of

ROOT = Path(__file__).absolute().parents[2]
READY = re.compile(r"baud ready gateway=(\S+) redis=(redis://127\.0\.0\.1:\d+/0)\n")
WARNING = re.compile(r"warn|error|superuser|overcommit|oO0OoO0|traceback", re.IGNORECASE)
SETTLED_SECONDS = 60.0
SHORT_LEASES = {"BAUD_MODEM__LEASE_SECONDS": "3", "BAUD_MODEM__RENEW_SECONDS": "0.5"}


def user_env() -> dict[str, str]:
    """The environment of a user without any model or Redis of their own, and with a key of another Baud."""
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    for name in ("REDIS_URL", "BAUD_URL", "BAUD_CONFIG", "ENV"):
        kept.pop(name, None)
    own = {"PYTHONPATH": str(ROOT), "LITELLM_LOCAL_MODEL_COST_MAP": "True", "BAUD_API_KEY": "baud_of-another-server"}
    return kept | own


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "baud", *arguments]


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it went between the two questions
        return False


class Stack:
    """`baud up` in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "up.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command("up", "--port", "0"),
                cwd=folder,
                env=user_env() | SHORT_LEASES,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        self.stdout = self.process.stdout
        ready = READY.fullmatch(self.stdout.readline())
        assert ready, self.log.read_text()
        self.url = ready[1]

    def service(self, name: str) -> psutil.Process:
        return next(process for process in self.family() if name in process.cmdline())

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(SETTLED_SECONDS)
        self.stdout.close()


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    running = Stack(tmp_path)
    yield running
    running.end()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + SETTLED_SECONDS
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < end, "the condition was not met in time"
        pause.wait(0.02)


def is_healthy(url: str) -> bool:
    try:
        return bool(httpx.get(f"{url}/health").json()["status"] == "healthy")
    except httpx.TransportError:
        return False


def kinds(events: list[Event]) -> list[str]:
    return [event.execute_type for event in events]


def warnings_in(text: str) -> list[str]:
    return [line for line in text.splitlines() if WARNING.search(line)]


def test_a_stack_on_a_fresh_folder_warns_of_nothing(stack: Stack) -> None:
    with Baud(stack.url) as baud:
        thread_id = baud.initiate().thread_id
        *_, last = baud.run_stream(thread_id, baud.execute(thread_id, "write a haiku").run_id)
    assert completion_of(last)[0] is StopReason.COMPLETED
    assert warnings_in(stack.log.read_text()) == []


def test_a_run_on_a_running_stack_completes(stack: Stack, tmp_path: Path) -> None:
    result = subprocess.run(
        command("run", "write a haiku", "--url", stack.url),
        cwd=tmp_path, env=user_env(), capture_output=True, text=True, timeout=SETTLED_SECONDS, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("> write a haiku\n")
    assert re.search(r"^completed \| \d+ steps? \| .* \| thread \S+ \| again: baud tail", result.stdout, re.MULTILINE)


def test_a_stream_outlives_the_death_of_the_gateway(stack: Stack) -> None:
    with Baud(stack.url) as baud:
        thread_id = baud.initiate().thread_id
        run_id = baud.execute(thread_id, "write a haiku").run_id
        seen: list[Event] = []
        for event in baud.run_stream(thread_id, run_id):
            if not seen:
                stack.service("gateway").kill()
            seen.append(event)
        stored = list(baud.stream(thread_id, until_completion=True))
    assert kinds(seen).count("flow_completion") == 1
    assert completion_of(seen[-1])[0] is StopReason.COMPLETED
    ids = [event.id for event in seen]
    assert len(set(ids)) == len(ids)
    # Deltas are removed once their complete message is in the log; all that is kept was seen.
    assert {event.id for event in stored} <= set(ids)
    assert "gateway was killed by SIGKILL; starting it again in 1 s" in stack.log.read_text()


def test_a_run_outlives_the_death_of_its_modem(stack: Stack) -> None:
    with Baud(stack.url) as baud:
        thread_id = baud.initiate().thread_id
        run_id = baud.execute(thread_id, "write a haiku").run_id
        seen: list[Event] = []
        for event in baud.run_stream(thread_id, run_id):
            if not seen:
                stack.service("modem").kill()
            seen.append(event)
        record = baud.run(thread_id, run_id)
    assert completion_of(seen[-1])[0] is StopReason.COMPLETED
    assert kinds(seen).count("flow_completion") == 1
    assert kinds(seen).count("user_message") == 1
    assert "status" in kinds(seen), "the reader sees that another attempt goes on"
    assert (record.attempts, record.crashes) == (2, 1)
    assert len({event.id for event in seen}) == len(seen)


def test_a_modem_that_dies_is_replaced_and_takes_new_runs(stack: Stack) -> None:
    stack.service("modem").kill()
    until(lambda: "modem is running again" in stack.log.read_text())
    with Baud(stack.url) as baud:
        thread_id = baud.initiate().thread_id
        run_id = baud.execute(thread_id, "write a haiku").run_id
        *_, last = baud.run_stream(thread_id, run_id)
    assert completion_of(last)[0] is StopReason.COMPLETED


def test_a_stack_that_can_write_nothing_replaces_its_modem_and_runs_on(tmp_path: Path, unused_tcp_port: int) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    with Path("/dev/full").open("wb") as full:
        process = subprocess.Popen(
            command("up", "--port", str(unused_tcp_port)),
            cwd=tmp_path, env=user_env() | SHORT_LEASES, stdout=full, stderr=full,
        )  # fmt: skip
    try:
        until(lambda: is_healthy(url))
        family = psutil.Process(process.pid).children(recursive=True)
        next(member for member in family if "modem" in member.cmdline()).kill()
        with Baud(url) as baud:
            thread_id = baud.initiate().thread_id
            *_, last = baud.run_stream(thread_id, baud.execute(thread_id, "write a haiku").run_id)
        assert completion_of(last)[0] is StopReason.COMPLETED
    finally:
        process.terminate()
        process.wait(SETTLED_SECONDS)


def test_killing_the_launcher_leaves_no_process_behind(stack: Stack) -> None:
    family = stack.family()
    assert len(family) >= 3
    stack.process.kill()
    until(lambda: not any(is_alive(process) for process in family))


def test_ctrl_c_ends_the_stack_and_all_its_processes(stack: Stack) -> None:
    family = stack.family()
    stack.process.send_signal(signal.SIGINT)
    assert stack.process.wait(SETTLED_SECONDS) == 0
    assert not any(is_alive(process) for process in family)
    assert stack.stdout.read() == ""


def test_run_without_a_stack_starts_one_and_ends_it(tmp_path: Path) -> None:
    try:
        httpx.get(f"{DEFAULT_URL}/health")
        pytest.fail(f"something listens at {DEFAULT_URL}, so no stack would be started: stop it first")
    except httpx.ConnectError:
        pass
    first = subprocess.run(
        command("run", "write a haiku", "--json"),
        cwd=tmp_path, env=user_env(), capture_output=True, text=True, timeout=SETTLED_SECONDS, check=False,
    )  # fmt: skip
    assert first.returncode == 0, first.stderr
    assert warnings_in(first.stderr + (tmp_path / "data" / "logs" / "stack.log").read_text()) == []
    events = [json.loads(line) for line in first.stdout.splitlines()]
    thread_id = events[0]["data"]["thread_id"]
    second = subprocess.run(
        command("tail", thread_id, "--json"),
        cwd=tmp_path, env=user_env(), capture_output=True, text=True, timeout=SETTLED_SECONDS, check=False,
    )  # fmt: skip
    assert second.returncode == 0, second.stderr
    assert [json.loads(line)["id"] for line in second.stdout.splitlines()][-1] == events[-1]["id"]
    assert not [process for process in psutil.process_iter() if str(tmp_path) in _data_dir_of(process)]


def _data_dir_of(process: psutil.Process) -> str:
    try:
        return process.environ().get("BAUD_DATA_DIR", "") or process.cwd()
    except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
        return ""
