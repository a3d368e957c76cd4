"""For tests of a run's log: the run, its events, and what the fake store holds."""

import asyncio

import orjson

from shared.config import StreamConfig
from shared.contract.event import AssistantDelta
from shared.contract.run import RunRecord, RunStatus, StopReason, Usage
from shared.store.run_values import RunEnd
from tests.fakes.fake_clock import FakeClock
from tests.fakes.fake_worker_run_store import FakeWorkerRunStore
from workflow.journal.events import EventFactory, EventSpan
from workflow.llm.model import TextDelta

RUN = RunRecord(run_id="r", thread_id="t", task="x", created_at="2026-01-02T03:04:05+00:00", token=1)
EVENTS = EventFactory("t", "r", FakeClock())
STEP = EventSpan("s", EVENTS.now(), "assistant_response")
END = RunEnd(RunStatus.COMPLETED, StopReason.COMPLETED, "", Usage(), b"end")
NEVER = StreamConfig(flush_interval=1000.0)  # only what must not wait is written
AUDIT = NEVER.model_copy(update={"drop_deltas": False})


def delta(text: str) -> AssistantDelta:
    return EVENTS.delta(STEP, TextDelta(text))


def texts(store: FakeWorkerRunStore) -> list[str]:
    results = [orjson.loads(data)["execute_result"] for data in store.data]
    return [result["assistant_delta"]["text"] if "assistant_delta" in result else "complete" for result in results]


async def until_written(store: FakeWorkerRunStore, count: int) -> None:
    await asyncio.wait_for(store.wrote(count), 5)
