"""Records, streams, messages of the queue and workspaces that 46a4c39 wrote are read by today's stores."""

import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
from redis import Redis

from modem.type.flow_type import read_flow
from shared.broker.message import read_envelope
from shared.config import SandboxConfig
from shared.contract.api import OnBusy
from shared.contract.event import TASK_EVENT, AgentExecuteData, ExecuteState, ExecuteType
from shared.contract.message import Role
from shared.contract.run import QuestionKind, RunStatus, StopReason
from shared.contract.state import Phase
from shared.keys import EXECUTE_RUN_TASK, LEGACY_TASK, ThreadKeys
from shared.store.run_values import SubmitOutcome
from tests.chaos.scripted_worker_model import LETTER_TEXT
from tests.integration.store_scene import StoreScene, open_store
from tests.kept_samples import WORKSPACES, kept_keys, kept_runs, load_kept
from workflow.service.sandbox.local_provider import LocalProvider
from workflow.service.sandbox.workspaces import Workspaces

RUNS: Final = kept_runs()
_MAX_MESSAGE_BYTES: Final = 65_536
STATES: Final = {
    "completed": (RunStatus.COMPLETED, StopReason.COMPLETED, 1),
    "limited": (RunStatus.FAILED, StopReason.MAX_STEPS, 1),
    "legacy completed": (RunStatus.COMPLETED, StopReason.COMPLETED, 1),
    "cancelled": (RunStatus.CANCELLED, StopReason.CANCELLED, 1),
    "question": (RunStatus.WAITING, None, 1),
    "approval": (RunStatus.WAITING, None, 1),
    "answered": (RunStatus.PENDING, None, 1),
    "speaking": (RunStatus.PROCESSING, None, 1),
    "behind": (RunStatus.PENDING, None, 0),
    "working": (RunStatus.PROCESSING, None, 1),
    "pending": (RunStatus.PENDING, None, 0),
}


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[StoreScene]:
    with Redis.from_url(redis_url) as redis:
        load_kept(redis, "redis.jsonl")
    async with open_store(redis_url) as opened:
        yield opened


def only_run(name: str) -> tuple[str, str]:
    return RUNS[name].thread_id, RUNS[name].run_id


async def claimed(store: StoreScene, name: str) -> Any:
    claim = await store.runs.claim(*only_run(name), owner="w", claim_id="c", lease_seconds=60)
    assert claim is not None
    return claim


async def test_every_thread_is_listed_and_readable(store: StoreScene) -> None:
    listed = await store.threads.newest(cursor=None, limit=50)
    threads = {thread.thread_id: thread for thread in listed.items if thread.thread_id != "t"}
    assert set(threads) == {job.thread_id for name, job in RUNS.items() if name != "legacy pending"}
    assert all(thread.unreadable is None for thread in threads.values())
    thread = await store.threads.get(RUNS["completed"].thread_id)
    assert (thread.metadata, thread.context) == ({"team": "tea", "size": 3}, {"likes": ["green", "black"]})
    assert (thread.run_count, thread.last_run_id) == (1, RUNS["completed"].run_id)
    assert (await store.threads.get(RUNS["speaking"].thread_id)).active_run_id == RUNS["speaking"].run_id


@pytest.mark.parametrize("name", STATES)
async def test_a_run_of_each_state_is_read(store: StoreScene, name: str) -> None:
    run = await store.runs.get(*only_run(name))
    assert run.unreadable is None
    assert (run.status, run.stop_reason, run.attempts) == STATES[name]
    assert (await store.runs.find(run.run_id)) == run
    assert json.loads(run.task)["name"].startswith("kept-")


async def test_what_a_client_set_is_read(store: StoreScene) -> None:
    run = await store.runs.get(*only_run("completed"))
    (item,) = run.context_data
    assert (item.type, item.content, item.model_extra) == ("text", "with milk", {"source": "note"})
    assert (run.parameters, run.user_uuid) == ({"max_steps": 20, "mood": "calm"}, "user-1")
    assert run.usage.steps == 4
    again = run.model_copy(update={"run_id": "another"})
    submitted = await store.runs.submit(again, on_busy=OnBusy.QUEUE, idempotency_key="kept-plain-0")
    assert (submitted.outcome, submitted.run) == (SubmitOutcome.REPEATED, run)


async def test_questions_and_their_answers_are_read(store: StoreScene) -> None:
    question, approval, answered = [
        await store.runs.get(*only_run(name)) for name in ("question", "approval", "answered")
    ]
    assert question.waiting is not None
    assert (question.waiting.kind, question.waiting.question) == (
        QuestionKind.ASK_USER,
        "kept-question-4: which colour?",
    )
    assert approval.waiting is not None
    assert approval.waiting.kind is QuestionKind.APPROVAL
    assert (answered.waiting, answered.answer and answered.answer.text) == (None, "kept, green")


async def test_a_run_whose_worker_is_gone_is_claimed_with_its_journal(store: StoreScene) -> None:
    claim = await claimed(store, "working")
    assert (claim.run.attempts, claim.run.crashes) == (2, 1)
    assert (claim.state.phase, claim.state.plan.name) == (Phase.EXECUTION, "kept-command-9")
    (call,) = claim.state.in_flight
    assert (call.call_id, call.name, call.workers_lost) == ("kept-command-9-2-0", "bash", 0)
    assert [message.role for message in claim.messages[:3]] == [Role.USER, Role.ASSISTANT, Role.TOOL]
    assert call.call_id in [asked.call_id for asked in claim.messages[-1].tool_calls]


async def test_steering_text_is_taken(store: StoreScene) -> None:
    claim = await claimed(store, "speaking")
    (text,) = await store.runs.take_steering(claim.run, nonce="n")
    assert text.text() == "kept, steered"


@pytest.mark.parametrize("name", [name for name in STATES if name != "behind"])
async def test_every_event_of_a_stream_is_read(store: StoreScene, name: str) -> None:
    keys = ThreadKeys(RUNS[name].thread_id)
    entries = await store.events.page(keys.stream, after="0-0", limit=1000)
    assert len(entries) == len(kept_keys("redis.jsonl").get(keys.stream, []))
    for entry in entries:
        data = AgentExecuteData.model_validate_json(entry.data)
        assert (entry.event, entry.type, entry.run_id) == (TASK_EVENT, data.execute_type, data.run_id)
        assert data.thread_id == RUNS[name].thread_id
    has_ended = STATES[name][1] is not None
    assert [entry.type for entry in entries if entry.is_final] == [ExecuteType.FLOW_COMPLETION] * has_ended


async def test_text_that_its_message_did_not_replace_is_read(store: StoreScene) -> None:
    entries = await store.events.page(ThreadKeys(RUNS["cancelled"].thread_id).stream, after="0-0", limit=1000)
    (text,) = [entry for entry in entries if entry.type == ExecuteType.ASSISTANT_DELTA]
    data = AgentExecuteData.model_validate_json(text.data)
    assert data.current_state is ExecuteState.PROCESSING
    assert "turn 2 word 0" in str(data.execute_result)


async def test_a_legacy_stream_has_the_events_of_its_run(store: StoreScene) -> None:
    thread_id, run_id = only_run("legacy completed")
    keys = ThreadKeys(thread_id)
    assert await store.events.page(keys.legacy_stream(run_id), after="0-0", limit=1000) == await store.events.page(
        keys.stream, after="0-0", limit=1000
    )


async def test_every_open_run_is_due_for_a_check(store: StoreScene) -> None:
    due = await store.leases.take_due(limit=100, hold_seconds=60)
    open_runs = {RUNS[name] for name, (_, reason, _) in STATES.items() if reason is None}
    # Questions are due when they expire. One check is of a request that became a steering text.
    assert open_runs - {RUNS["question"], RUNS["approval"]} <= set(due)
    inspected = await store.leases.inspect([RUNS["question"], RUNS["working"]])
    assert [getattr(each, "status", None) for each in inspected] == [RunStatus.WAITING, RunStatus.PROCESSING]


def test_messages_of_the_queue_are_read() -> None:
    kept = kept_keys("redis.jsonl")
    taken = [json.loads(message)[0] for message in kept["unacked"].values()]
    waiting = [json.loads(message) for message in kept["celery"]]
    read = [read_envelope(json.dumps(each).encode(), max_bytes=_MAX_MESSAGE_BYTES) for each in (*taken, *waiting)]
    jobs = [each.arguments for each in read if each.task == EXECUTE_RUN_TASK]
    assert sorted(jobs) == sorted(only_run(name) for name in ("speaking", "working", "answered", "pending"))
    (legacy,) = [each for each in read if each.task == LEGACY_TASK]
    flow = read_flow(legacy.arguments[0])
    assert (flow.flow_uuid, flow.flow_input_uuid) == only_run("legacy pending")


async def test_workspaces_are_found_and_their_files_read(tmp_path: Path) -> None:
    root = tmp_path / "sandboxes"
    shutil.copytree(WORKSPACES, root)
    for name in ("home", "tmp"):  # empty folders, which are not kept
        (root / RUNS["approval"].thread_id / name).mkdir()
    assert [each.thread_id for each in Workspaces(root).all()] == [RUNS["approval"].thread_id]
    provider = LocalProvider(SandboxConfig(), root, is_production=False, env={})
    sandbox = await provider.create(RUNS["approval"].thread_id)
    try:
        assert await sandbox.read_file("letter.txt") == LETTER_TEXT.encode()
    finally:
        await sandbox.close()
