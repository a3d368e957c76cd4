"""One job of a run that is taken over from another worker, or handed over by this one."""

import asyncio
from dataclasses import replace

import orjson
import pytest

from modem.service.execute_run import execute_run
from modem.service.lease.active_runs import ActiveRuns
from shared.contract.message import ChatMessage, Role, ToolCall
from shared.contract.run import RunStatus, StopReason
from shared.contract.state import AgentState, CallInFlight, Phase
from shared.errors import LeaseLostError, StoreUnavailableError
from shared.store.run_values import Claim
from tests.fakes.fake_lease_store import FakeLeaseStore
from tests.fakes.fake_worker_run_store import FakeWorkerRunStore
from tests.fakes.scripted_model import hangs, says
from tests.unit.modem.test_execute_run import CLAIM, JOB, FakeEngineBuilder, FakePublisher, kinds, services_with
from tests.unit.workflow.runner.scene import NOW
from workflow.journal.ports import Stop

BASH = ToolCall(call_id="b", name="bash", arguments='{"cmd": "rm x"}')


def taken_over(*, crashes: int = 1, cancel_requested_at: str | None = None) -> Claim:
    """Return the claim of a run whose last worker died in the middle of a call."""
    messages = (
        ChatMessage(role=Role.USER, content="tea", run_id="r"),
        ChatMessage(role=Role.ASSISTANT, content="", tool_calls=(BASH,), run_id="r"),
    )
    in_flight = (CallInFlight(call_id="b", uuid="u", began_at=NOW),)
    run = CLAIM.run.model_copy(
        update={"attempts": 2, "crashes": crashes, "started_at": NOW, "cancel_requested_at": cancel_requested_at}
    )
    return replace(CLAIM, run=run, messages=messages, state=AgentState(phase=Phase.EXECUTION, in_flight=in_flight))


async def execute(store: FakeWorkerRunStore, engines: FakeEngineBuilder, leases: FakeLeaseStore) -> FakePublisher:
    publisher = FakePublisher()
    services = services_with(store, ActiveRuns(), engines, publisher, leases)
    await asyncio.wait_for(execute_run(JOB, services), 5)
    return publisher


async def test_a_run_that_was_taken_over_goes_on_to_its_end_and_is_forgotten() -> None:
    store, leases = FakeWorkerRunStore(taken_over()), FakeLeaseStore()
    await execute(store, FakeEngineBuilder([says("Done.")]), leases)
    assert kinds(store) == [
        ("status", "complete"), ("status_sandbox_info", "complete"), ("tool_bash", "error"),
        ("assistant_response", "complete"),
    ]  # fmt: skip
    assert [end.stop_reason for end in store.ends] == [StopReason.COMPLETED]
    assert leases.forgotten == ["r"]


async def test_a_run_that_took_too_many_workers_down_is_ended_as_poison() -> None:
    store, leases = FakeWorkerRunStore(taken_over(crashes=3)), FakeLeaseStore()
    engines = FakeEngineBuilder([])
    await execute(store, engines, leases)
    assert engines.model.requests == []
    assert kinds(store) == [("tool_bash", "error")], "what was open is closed"
    (end,) = store.ends
    assert (end.status, end.stop_reason) == (RunStatus.FAILED, StopReason.POISON)
    assert orjson.loads(end.event)["current_state"] == "error"
    assert leases.forgotten == ["r"]


async def test_a_run_that_was_cancelled_without_a_worker_is_ended_and_not_continued() -> None:
    store = FakeWorkerRunStore(taken_over(cancel_requested_at=NOW))
    engines = FakeEngineBuilder([says("never")])
    await execute(store, engines, FakeLeaseStore())
    assert engines.model.requests == []
    (end,) = store.ends
    assert (end.status, end.stop_reason) == (RunStatus.CANCELLED, StopReason.CANCELLED)
    assert kinds(store).count(("tool_bash", "error")) == 1


class DrainedWhileClaiming(FakeWorkerRunStore):
    """The process begins to drain while it claims."""

    def __init__(self, claim: Claim, active: ActiveRuns) -> None:
        super().__init__(claim)
        self._active = active

    async def claim(
        self, thread_id: str, run_id: str, *, owner: str, claim_id: str, lease_seconds: float
    ) -> Claim | None:
        self._active.is_draining = True
        return await super().claim(thread_id, run_id, owner=owner, claim_id=claim_id, lease_seconds=lease_seconds)


async def test_a_draining_worker_claims_nothing_more() -> None:
    store, leases, active = FakeWorkerRunStore(CLAIM), FakeLeaseStore(), ActiveRuns()
    active.is_draining = True
    services = services_with(store, active, FakeEngineBuilder([]), leases=leases)
    await asyncio.wait_for(execute_run(JOB, services), 5)
    assert (store.claimed_by, [run_id for run_id, _ in leases.checks]) == ([], ["r"])


async def test_a_run_that_is_handed_over_is_released_before_it_is_published() -> None:
    leases, publisher, active = FakeLeaseStore(), FakePublisher(), ActiveRuns()
    store = DrainedWhileClaiming(CLAIM, active)
    services = services_with(store, active, FakeEngineBuilder([]), publisher, leases)
    await asyncio.wait_for(execute_run(JOB, services), 5)
    assert (store.ends, leases.released, publisher.jobs) == ([], ["r"], [JOB])
    assert [run_id for run_id, _ in leases.checks] == ["r"], "a reaper checks, should the job be lost"


async def test_a_run_that_was_lost_before_it_could_be_released_is_not_published() -> None:
    leases, publisher, active = FakeLeaseStore(), FakePublisher(), ActiveRuns()
    store, leases.is_owner = DrainedWhileClaiming(CLAIM, active), False
    services = services_with(store, active, FakeEngineBuilder([]), publisher, leases)
    await asyncio.wait_for(execute_run(JOB, services), 5)
    assert (publisher.jobs, leases.checks) == ([], [])


@pytest.mark.parametrize("reason", [Stop.LEASE_LOST, Stop.CANCELLED, Stop.HAND_OVER])
async def test_a_stopped_run_ends_according_to_the_stop_reason(reason: Stop) -> None:
    store, leases, active = FakeWorkerRunStore(CLAIM), FakeLeaseStore(), ActiveRuns()
    engines = FakeEngineBuilder([hangs(after="hm")])
    run = asyncio.create_task(execute_run(JOB, services_with(store, active, engines, leases=leases)))
    await asyncio.wait_for(engines.model.answering.wait(), 5)
    (running,) = active
    running.stop(reason)
    await asyncio.wait_for(run, 5)
    assert [end.stop_reason for end in store.ends] == ([StopReason.CANCELLED] if reason is Stop.CANCELLED else [])
    assert leases.released == ([] if reason is Stop.CANCELLED else ["r"]), "without effect if another worker owns it"
    assert list(active) == []


async def test_a_lease_lost_at_the_first_write_is_not_an_end() -> None:
    store, leases = FakeWorkerRunStore(taken_over()), FakeLeaseStore()
    store.failures, leases.is_owner = [LeaseLostError()], False
    publisher = await execute(store, FakeEngineBuilder([]), leases)
    assert (store.ends, publisher.jobs, leases.forgotten) == ([], [], [])


async def test_a_run_that_cannot_be_forgotten_has_ended() -> None:
    store, leases = FakeWorkerRunStore(CLAIM, next_run_id="r2"), FakeLeaseStore()
    leases.failure = StoreUnavailableError()
    publisher = await execute(store, FakeEngineBuilder([says("Done.")]), leases)
    assert [job.run_id for job in publisher.jobs] == ["r2"]
