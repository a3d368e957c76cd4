"""`baud run`, `baud tail` and `baud threads` as a user starts them, against a gateway that cuts its streams off."""

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import httpx
import pytest
import uvicorn

from tests.fakes.fake_gateway import FakeGateway


@pytest.fixture
def gateway_url() -> Iterator[str]:
    """Serve a FakeGateway on a free port."""
    started = threading.Event()

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup()
            started.set()

    server = Server(uvicorn.Config(FakeGateway().app(), host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    assert started.wait(5)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.force_exit = server.should_exit = True
    thread.join(10)


def baud(*arguments: str, url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "baud", *arguments, "--url", url],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_run_shows_the_text_once_and_ends_with_a_summary(gateway_url: str) -> None:
    result = baud("run", "greet", url=gateway_url)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        "> greet",
        "Hello",
        "completed | 2 steps | 1,234 tokens in, 56 out | $0.0123 | thread thread-1 | "
        f"again: baud tail thread-1 --url {gateway_url}",
    ]


def test_run_as_json_gives_every_event_once(gateway_url: str) -> None:
    result = baud("run", "greet", "--json", url=gateway_url)
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert [event["id"] for event in events] == ["1-0", "2-0", "3-0", "4-0", "5-0"]
    assert all(set(event) == {"id", "event", "data"} for event in events)
    assert httpx.get(f"{gateway_url}/log").json() == ["stream 0-0", "stream 3-0"]


@pytest.mark.parametrize("task", ["fail", "ask"])
def test_a_run_that_does_not_complete_exits_with_one(gateway_url: str, task: str) -> None:
    result = baud("run", task, url=gateway_url)
    assert result.returncode == 1
    if task == "ask":
        assert "baud answer thread-1" in result.stderr


def test_ctrl_c_cancels_the_run_and_exits_with_130(gateway_url: str) -> None:
    command = [sys.executable, "-m", "baud", "run", "wait", "--json", "--url", gateway_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        readable, _, _ = select.select([process.stdout], [], [], 10)
        assert readable
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(10) == 130
    assert "cancel run-1" in httpx.get(f"{gateway_url}/log").json()


def test_tail_shows_all_runs_of_a_thread(gateway_url: str) -> None:
    baud("run", "one", url=gateway_url)
    baud("run", "two", "--thread", "thread-1", url=gateway_url)
    result = baud("tail", "thread-1", "--no-follow", url=gateway_url)
    assert result.returncode == 0, result.stderr
    assert re.findall(r"^> (\w+)$", result.stdout, re.MULTILINE) == ["one", "two"]


def test_tail_of_an_unknown_thread_is_an_error(gateway_url: str) -> None:
    result = baud("tail", "nothing", url=gateway_url)
    assert result.returncode == 1
    assert "neither a thread nor a run has the id nothing" in result.stderr
    assert "Traceback" not in result.stderr


def test_tail_of_a_run_shows_it_alone_and_applies_the_filters(gateway_url: str) -> None:
    baud("run", "one", url=gateway_url)
    baud("run", "two", "--thread", "thread-1", url=gateway_url)
    result = baud("tail", "run-2", "--types", "user_message, flow_completion", "--no-deltas", url=gateway_url)
    assert result.returncode == 0, result.stderr
    assert re.findall(r"^> (\w+)$", result.stdout, re.MULTILINE) == ["two"]
    log = httpx.get(f"{gateway_url}/log").json()
    assert log[-1].endswith("?types=user_message%2Cflow_completion&deltas=false")


def test_threads_lists_what_there_is(gateway_url: str) -> None:
    baud("run", "one", url=gateway_url)
    result = baud("threads", "--json", url=gateway_url)
    assert [json.loads(line)["thread_id"] for line in result.stdout.splitlines()] == ["thread-1"]
    assert "thread-1" in baud("threads", url=gateway_url).stdout


def test_why_explains_the_newest_run_unless_one_is_named(gateway_url: str) -> None:
    for task in ("one", "two"):
        baud("run", task, *(["--thread", "thread-1"] if task == "two" else []), url=gateway_url)
    newest = baud("why", "thread-1", url=gateway_url)
    assert newest.returncode == 0, newest.stderr
    lines = {line.split()[0]: " ".join(line.split()[1:]) for line in newest.stdout.splitlines()}
    assert (lines["run"], lines["status"], lines["attempts"]) == ("run-2", "processing", "2, 1 lost")
    assert lines["now"] == "It carries out 1 tool call(s)."
    assert lines["worker"] == "worker:1 (not alive)"
    assert lines["spent"] == "3 steps, 1,234 tokens in, 5 out, $0.5000"
    for named in (("thread-1", "run-1"), ("run-1",)):
        assert json.loads(baud("why", *named, "--json", url=gateway_url).stdout)["run_id"] == "run-1"


def test_why_of_an_unknown_id_is_an_error_in_one_line(gateway_url: str) -> None:
    httpx.post(f"{gateway_url}/api/agent/initiate")
    unknown, empty = baud("why", "thread-1", "nothing", url=gateway_url), baud("why", "thread-1", url=gateway_url)
    assert (unknown.returncode, empty.returncode) == (1, 1)
    assert "run_not_found" in unknown.stderr
    assert 'baud run --thread thread-1 "task"' in empty.stderr


def test_a_model_cannot_be_chosen_for_a_gateway_that_runs(gateway_url: str) -> None:
    result = baud("run", "greet", "--model", "gpt-5", url=gateway_url)
    assert result.returncode == 1
    assert "--model" in result.stderr


def test_a_gateway_that_does_not_answer_is_named() -> None:
    result = baud("threads", url="http://127.0.0.1:9")
    assert result.returncode == 1
    assert "no answer from http://127.0.0.1:9" in result.stderr
