"""What 46a4c39 left open goes on with this version: its runs end, and nothing that was done is done again."""

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from redis import Redis

from shared.contract.run import RunStatus
from tests.chaos.scripted_worker_model import EFFECTS_FILE, GATES_FOLDER, LETTER_FILE
from tests.e2e.event_log import EndedRun
from tests.e2e.stack import Stack
from tests.integration.redis_process import RedisProcess
from tests.kept_samples import WORKSPACES, kept_runs, load_kept

RUNS: Final = kept_runs()
OPEN: Final = ("question", "approval", "answered", "speaking", "behind", "working", "pending", "legacy pending")
SETTINGS: Final = {
    "BAUD_LLM__MODEL": "python:tests.chaos.scripted_worker_model:make_model",
    "BAUD_MODEM__LEASE_SECONDS": "4",
    "BAUD_MODEM__RENEW_SECONDS": "0.5",
    "BAUD_SANDBOX__ISOLATION": "process",
    # The samples are older than a run may get.
    "BAUD_AGENT__MAX_DURATION": "1e10",
}


@pytest.fixture
def stack(own_redis: RedisProcess, tmp_path: Path) -> Iterator[Stack]:
    with Redis.from_url(own_redis.url) as redis:
        load_kept(redis, "redis.jsonl")
    shutil.copytree(WORKSPACES, tmp_path / "data" / "sandboxes")
    gates = tmp_path / GATES_FOLDER
    gates.mkdir()
    (gates / "kept-gate-7").touch()
    with Stack(own_redis.url, tmp_path, SETTINGS) as started:
        yield started


def input_path(name: str) -> str:
    return f"/api/agent/{RUNS[name].thread_id}/runs/{RUNS[name].run_id}/input"


def count(run: EndedRun, text: str) -> int:
    return sum(text in event.data.model_dump_json() for event in run.events)


def done_twice(stack: Stack, name: str) -> set[str]:
    """Return the lines that calls wrote more than once, each of which has a line of its own."""
    file = stack.workspace(RUNS[name].thread_id) / EFFECTS_FILE
    lines = Counter(file.read_text().splitlines() if file.exists() else [])
    return {line for line, times in lines.items() if times > 1}


def test_every_run_that_was_left_open_is_completed_once(stack: Stack) -> None:
    assert stack.http.post(input_path("question"), json={"answer": "today's red"}).status_code == 202
    assert stack.http.post(input_path("approval"), json={"decision": "approve"}).status_code == 202
    ended = {name: stack.follow(RUNS[name].thread_id, RUNS[name].run_id) for name in OPEN}

    assert {name: run.record.status for name, run in ended.items()} == dict.fromkeys(OPEN, RunStatus.COMPLETED)
    for name, run in ended.items():
        assert [event.is_completion for event in run.events].count(True) == 1, name
        assert not done_twice(stack, name), name
    assert count(ended["question"], "today's red") == 1
    assert count(ended["answered"], "kept, green") == 1
    assert count(ended["speaking"], "kept, steered") == 1
    assert (stack.workspace(RUNS["approval"].thread_id) / LETTER_FILE).read_text() == "sent\n"


def test_streams_resume_from_an_id_that_an_earlier_gateway_gave(stack: Stack) -> None:
    run = RUNS["completed"]
    path = f"/api/agent/{run.thread_id}/runs/{run.run_id}/stream"
    with stack.frames(path) as frames:
        complete = [frame.id for frame in frames if frame.id is not None]
    with stack.frames(path, after=complete[3]) as frames:
        assert [frame.id for frame in frames if frame.id is not None] == complete[4:]
