"""`baud run` and `baud tail` as a user types them, against a running gateway."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.e2e.event_log import LogEvent, assert_read_whole
from tests.e2e.service_process import service_environment, wait_until
from tests.e2e.stack import Stack
from tests.e2e.test_takeover import PLAN, processes_of, shell
from tests.event_data import read_data
from tests.fakes.openai_script import Answer
from tests.fakes.openai_server import OpenAIServer

_LIMIT_SECONDS = 40


def baud(stack: Stack, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "baud", *arguments],
        env=service_environment({"BAUD_URL": stack.url}),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_LIMIT_SECONDS,
        check=False,
    )


def events_in(output: str) -> list[LogEvent]:
    lines = [json.loads(line) for line in output.splitlines()]
    assert all(set(line) == {"id", "event", "data"} for line in lines)
    return [LogEvent(line["id"], read_data(line["data"])) for line in lines]


def test_baud_run_prints_the_log_and_exits_with_zero(stack: Stack, openai_server: OpenAIServer, tmp_path: Path) -> None:
    openai_server.play([Answer(text="Done as you said.")])
    done = baud(stack, tmp_path, "run", "--json", "Do it")
    assert done.returncode == 0, done.stderr
    events = events_in(done.stdout)
    thread_id = events[0].data.thread_id
    log = list(stack.log(thread_id))
    assert_read_whole(events, log)
    tail = baud(stack, tmp_path, "tail", "--no-follow", "--json", thread_id)
    assert tail.returncode == 0, tail.stderr
    assert events_in(tail.stdout) == log
    rest = baud(stack, tmp_path, "tail", "--no-follow", "--json", "--from", log[0].id, thread_id)
    assert events_in(rest.stdout) == log[1:]


def test_baud_run_exits_with_one_when_the_run_fails(stack: Stack, openai_server: OpenAIServer, tmp_path: Path) -> None:
    openai_server.play([Answer(status=401, times=0)])
    done = baud(stack, tmp_path, "run", "Do it")
    assert done.returncode == 1
    assert "OPENAI_API_KEY" in done.stdout
    assert "Traceback" not in done.stderr


def test_baud_run_goes_on_with_a_thread(stack: Stack, openai_server: OpenAIServer, tmp_path: Path) -> None:
    openai_server.play([Answer(text="First."), Answer(text="The second answer.")])
    first = stack.run("One")
    done = baud(stack, tmp_path, "run", "--thread", first.thread_id, "Two")
    assert done.returncode == 0, done.stderr
    assert "The second answer." in done.stdout
    assert stack.http.get(f"/api/agent/{first.thread_id}").json()["run_count"] == 2


def test_baud_tail_of_an_unknown_thread_exits_with_one(stack: Stack, tmp_path: Path) -> None:
    done = baud(stack, tmp_path, "tail", "nobody")
    assert done.returncode == 1
    assert "neither a thread nor a run has the id nobody" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_ctrl_c_in_baud_run_ends_the_run_and_its_command(
    stack: Stack, openai_server: OpenAIServer, tmp_path: Path
) -> None:
    marker = f"301.{os.getpid()}"
    openai_server.play([PLAN, shell(f"sleep {marker}"), Answer(text="Never.")])
    thread_id = stack.initiate()
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "baud", "run", "--thread", thread_id, "Wait"],
        env=service_environment({"BAUD_URL": stack.url}), cwd=tmp_path,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as command:  # fmt: skip
        wait_until(lambda: bool(processes_of(marker)), "the command runs", _LIMIT_SECONDS)
        command.send_signal(signal.SIGINT)
        _, stderr = command.communicate(timeout=_LIMIT_SECONDS)
    assert (command.returncode, stderr) == (130, "baud: stopping the run\n")
    (listed,) = stack.http.get(f"/api/agent/{thread_id}/runs").json()["items"]
    assert stack.follow(thread_id, listed["run_id"]).stop_reason == "cancelled"
    wait_until(lambda: not processes_of(marker), "the command is gone")


def test_baud_why_explains_the_newest_run(stack: Stack, openai_server: OpenAIServer, tmp_path: Path) -> None:
    openai_server.play([Answer(text="Done.")])
    run = stack.run("Do it")
    done = baud(stack, tmp_path, "why", run.thread_id)
    assert done.returncode == 0, done.stderr
    assert run.run_id in done.stdout
    assert "It has ended: completed." in done.stdout
    exact = baud(stack, tmp_path, "why", run.thread_id, run.run_id, "--json")
    assert json.loads(exact.stdout)["status"] == "completed"
    alone = baud(stack, tmp_path, "why", run.run_id, "--json")
    assert json.loads(alone.stdout)["thread_id"] == run.thread_id
    unknown = baud(stack, tmp_path, "why", run.thread_id, "nothing")
    assert unknown.returncode == 1
    assert len(unknown.stderr.strip().splitlines()) == 1
