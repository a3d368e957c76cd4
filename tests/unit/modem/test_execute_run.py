"""One job from claim to end: it ends exactly once, whatever goes wrong in between."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import cast

import orjson
import pytest

from modem.service.build_engine import EngineBuilder
from modem.service.execute_run import RunServices, execute_run
from modem.service.lease.active_runs import ActiveRuns
from shared.broker.publisher import RunPublisher
from shared.config import AgentConfig, LLMConfig, ModemConfig, StreamConfig
from shared.contract.message import ChatMessage, Role
from shared.contract.run import RunJob, RunRecord, RunStatus, StopReason
from shared.contract.state import AgentState, Phase
from shared.contract.thread import ThreadRecord
from shared.errors import ConfigurationError, LeaseLostError, StoreUnavailableError
from shared.keys import ThreadKeys
from shared.store.leases import LeaseStore
from shared.store.run_values import Claim, Ended, RunEnd
from tests.fakes.fake_clock import FakeClock
from tests.fakes.fake_lease_store import FakeLeaseStore
from tests.fakes.fake_sandbox import FakeSandbox
from tests.fakes.fake_worker_run_store import FakeWorkerRunStore
from tests.fakes.scripted_model import Reply, Script, ScriptedModel, hangs, says
from tests.fakes.scripted_tool import LookTool, ScriptedParameters
from tests.unit.workflow.runner.scene import NOW, PLAN, looks, registry_with
from workflow.agent.engine import Engine, PromptFacts
from workflow.llm.model import ModelRequest
from workflow.llm.token_counter import EstimatingCounter
from workflow.service.sandbox.base import Sandbox, WorkspacePlace
from workflow.tool.base import ToolContext, ToolResult
from workflow.tool.registry import ToolRegistry

JOB = RunJob(thread_id="t", run_id="r")
CLAIM = Claim(
    run=RunRecord(run_id="r", thread_id="t", task="tea", created_at=NOW, token=1, status=RunStatus.PROCESSING),
    thread=ThreadRecord(thread_id="t", created_at=NOW, updated_at=NOW),
    state=AgentState(),
    messages=(),
)


class FakeEngineBuilder(EngineBuilder):
    """Gives every run the same scripted engine, or fails."""

    def __init__(
        self, script: list[Script], registry: ToolRegistry | None = None, *, error: Exception | None = None
    ) -> None:
        self.model = ScriptedModel(script)
        self._registry = registry or registry_with()
        self._error = error

    async def prepare(self) -> None:
        return None

    async def place(self, thread_id: str) -> WorkspacePlace | None:
        return None

    async def build(self, thread_id: str, today: date) -> Engine:
        if self._error is not None:
            raise self._error
        return Engine(
            models=dict.fromkeys(Phase, self.model),
            counters={phase: EstimatingCounter(LLMConfig()) for phase in Phase},
            registry=self.tools,
            sandbox=_sandbox,
            config=AgentConfig(),
            prompt_facts=PromptFacts(today=today.isoformat(), network="open"),
        )


class FakePublisher(RunPublisher):
    """Keeps what was published."""

    def __init__(self) -> None:
        self.jobs: list[RunJob] = []

    async def publish(self, job: RunJob) -> None:
        self.jobs.append(job)


async def _sandbox() -> Sandbox:
    return FakeSandbox()


def services_with(
    store: FakeWorkerRunStore,
    active: ActiveRuns,
    engines: EngineBuilder | None = None,
    publisher: RunPublisher | None = None,
    leases: LeaseStore | None = None,
) -> RunServices:
    keys: Callable[[str], ThreadKeys] = ThreadKeys
    return RunServices(
        worker_id="w",
        keys=keys,
        runs=store,
        engines=engines or FakeEngineBuilder([]),
        publisher=publisher or FakePublisher(),
        active=active,
        agent=AgentConfig(),
        leases=leases or FakeLeaseStore(),
        modem=ModemConfig(),
        stream=StreamConfig(),
        clock=FakeClock(),
    )


def kinds(store: FakeWorkerRunStore) -> list[tuple[str, str]]:
    events = [orjson.loads(data) for data in store.data]
    return [(e["execute_type"], e["current_state"]) for e in events if e["execute_type"] != "assistant_delta"]


async def execute(
    store: FakeWorkerRunStore, engines: EngineBuilder, leases: FakeLeaseStore | None = None
) -> FakePublisher:
    publisher, active = FakePublisher(), ActiveRuns()
    await asyncio.wait_for(execute_run(JOB, services_with(store, active, engines, publisher, leases)), 5)
    await asyncio.wait_for(active.drain(1000), 5)
    return publisher


async def test_a_run_is_carried_out_and_ended_and_the_next_one_published() -> None:
    store = FakeWorkerRunStore(CLAIM, next_run_id="r2")
    publisher = await execute(store, FakeEngineBuilder([says("Done.")]))
    assert kinds(store) == [("user_message", "complete"), ("assistant_response", "complete")]
    (end,) = store.ends
    assert (end.status, end.stop_reason, end.usage.steps) == (RunStatus.COMPLETED, StopReason.COMPLETED, 1)
    completion = orjson.loads(end.event)
    assert (completion["execute_type"], completion["run_id"]) == ("flow_completion", "r")
    assert publisher.jobs == [RunJob(thread_id="t", run_id="r2")]


async def test_a_second_message_for_the_same_run_does_nothing() -> None:
    store = FakeWorkerRunStore(CLAIM)
    await execute(store, FakeEngineBuilder([says("Done.")]))
    writes = len(store.writes)
    await execute(store, FakeEngineBuilder([]))
    assert (len(store.writes), len(store.ends)) == (writes, 1)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ConfigurationError("[llm] model is unknown."), "[llm] model is unknown."),
        (RuntimeError("password=secret"), "A fault of the server ended the run."),
    ],
    ids=["configuration", "fault"],
)
async def test_a_run_that_cannot_begin_gets_its_user_message_and_one_end(error: Exception, message: str) -> None:
    store = FakeWorkerRunStore(CLAIM)
    await execute(store, FakeEngineBuilder([], error=error))
    (end,) = store.ends
    assert (end.status, end.stop_reason, end.message) == (RunStatus.FAILED, StopReason.INTERNAL_ERROR, message)
    assert kinds(store) == [("user_message", "complete")]
    assert b"secret" not in b"".join([*store.data, end.event])


async def test_a_fault_in_the_middle_of_a_call_closes_it_before_the_end() -> None:
    async def inspect(params: ScriptedParameters, context: ToolContext) -> ToolResult:
        return ToolResult("seen")

    store = FakeWorkerRunStore(CLAIM)
    broken = registry_with(LookTool(inspect), max_output_chars=cast("int", "no number"))
    await execute(store, FakeEngineBuilder([PLAN, looks(1)], broken))
    assert kinds(store)[-2:] == [("tool_look", "init"), ("tool_look", "error")]
    assert [end.stop_reason for end in store.ends] == [StopReason.INTERNAL_ERROR]


async def test_a_worker_that_lost_the_run_writes_no_end_and_publishes_nothing() -> None:
    store, leases = FakeWorkerRunStore(CLAIM, next_run_id="r2"), FakeLeaseStore()
    store.failures, leases.is_owner = [None, LeaseLostError()], False
    publisher = await execute(store, FakeEngineBuilder([says("Done.")]), leases)
    assert (store.ends, publisher.jobs) == ([], [])


async def test_a_run_whose_lease_expired_and_that_nobody_took_over_is_handed_over() -> None:
    store, leases = FakeWorkerRunStore(CLAIM), FakeLeaseStore()
    store.failures = [None, LeaseLostError()]
    publisher = await execute(store, FakeEngineBuilder([says("Done.")]), leases)
    assert (store.ends, leases.released, publisher.jobs) == ([], ["r"], [JOB])


async def test_a_claim_that_redis_did_not_answer_is_made_again_as_the_same_claim() -> None:
    store = FakeWorkerRunStore(CLAIM)
    store.claim_failures = [StoreUnavailableError(), StoreUnavailableError()]
    await execute(store, FakeEngineBuilder([says("Done.")]))
    assert [end.stop_reason for end in store.ends] == [StopReason.COMPLETED]
    assert (len(store.claim_ids), len(set(store.claim_ids))) == (3, 1)


async def test_a_draining_worker_does_not_retry_a_claim() -> None:
    store, active = FakeWorkerRunStore(CLAIM), ActiveRuns()

    def leave() -> Exception:
        active.is_draining = True
        return StoreUnavailableError()

    store.claim_failures = [StoreUnavailableError(), leave]
    with pytest.raises(StoreUnavailableError):
        await asyncio.wait_for(execute_run(JOB, services_with(store, active)), 5)
    assert store.claims == [CLAIM]


async def test_a_run_that_the_process_hands_over_is_released_published_and_not_ended() -> None:
    store, active, publisher, leases = FakeWorkerRunStore(CLAIM), ActiveRuns(), FakePublisher(), FakeLeaseStore()
    engines = FakeEngineBuilder([hangs(after="hm")])
    run = asyncio.create_task(execute_run(JOB, services_with(store, active, engines, publisher, leases)))
    await asyncio.wait_for(engines.model.answering.wait(), 5)
    await asyncio.wait_for(active.drain(0.001), 5)
    await asyncio.wait_for(run, 5)
    assert (store.ends, leases.released, publisher.jobs) == ([], ["r"], [JOB])


async def test_a_second_attempt_goes_on_without_a_second_user_message() -> None:
    first = FakeWorkerRunStore(CLAIM)
    await execute(first, FakeEngineBuilder([PLAN, dies()]))
    written = tuple(message for write in first.writes for message in write.messages)
    again = FakeWorkerRunStore(replace(CLAIM, messages=written, state=AgentState(phase=Phase.EXECUTION)))
    engines = FakeEngineBuilder([says("Done.")])
    await execute(again, engines)
    assert kinds(again) == [("status", "complete"), ("assistant_response", "complete")]
    assert "bash" in {spec.name for spec in engines.model.requests[0].tools}


def dies() -> Script:
    def die(request: ModelRequest) -> Reply:
        raise RuntimeError("the process dies here")

    return die


async def test_a_run_that_is_steered_while_it_ends_goes_on() -> None:
    steering = ChatMessage(role=Role.USER, content="and milk", run_id="r")

    class SteeredAtTheEnd(FakeWorkerRunStore):
        """Steering text arrives just before the first end."""

        was_steered = False

        async def finish(self, run: RunRecord, end: RunEnd) -> Ended | None:
            if not self.was_steered:
                self.was_steered, self.steering = True, [steering]
            return await super().finish(run, end)

    store, engines = SteeredAtTheEnd(CLAIM), FakeEngineBuilder([says("Tea."), says("Tea with milk.")])
    await execute(store, engines)
    assert [end.stop_reason for end in store.ends] == [StopReason.COMPLETED]
    assert kinds(store) == [
        ("user_message", "complete"), ("assistant_response", "complete"), ("assistant_response", "complete"),
    ]  # fmt: skip
    assert [message.text() for message in engines.model.requests[-1].messages][-2:] == ["Tea.", "and milk"]
