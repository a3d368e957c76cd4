"""One job of a run that has a question for a person: it waits, unless it is cancelled or steered meanwhile."""

import asyncio

import pytest

from modem.service.execute_run import execute_run
from modem.service.lease.active_runs import ActiveRuns
from shared.config import ToolConfig
from shared.contract.message import Role
from shared.contract.run import RunStatus, StopReason
from shared.store.run_values import WaitOutcome
from tests.fakes.fake_lease_store import FakeLeaseStore
from tests.fakes.fake_worker_run_store import FakeWorkerRunStore
from tests.fakes.scripted_model import Reply, calls, says
from tests.unit.modem.test_execute_run import CLAIM, JOB, FakeEngineBuilder, kinds, services_with
from tests.unit.workflow.runner.scene import PLAN
from workflow.tool.registry import ToolRegistry

ASK = calls(("ask_user", {"question": "Tea?"}))
RUN = calls(("bash", {"cmd": "echo hi"}))


async def execute(store: FakeWorkerRunStore, script: list[Reply]) -> tuple[FakeEngineBuilder, FakeLeaseStore]:
    registry = ToolRegistry.from_config({"bash": ToolConfig(approval="always")}, plugins=())
    engines, leases = FakeEngineBuilder([*script], registry), FakeLeaseStore()
    await asyncio.wait_for(execute_run(JOB, services_with(store, ActiveRuns(), engines, leases=leases)), 5)
    return engines, leases


@pytest.mark.parametrize("question", [ASK, RUN], ids=["question", "approval"])
async def test_a_run_that_asks_waits_and_is_checked_when_the_time_is_up(question: Reply) -> None:
    store = FakeWorkerRunStore(CLAIM)
    _, leases = await execute(store, [PLAN, question])
    assert (len(store.questions), store.ends, len(leases.checks)) == (1, [], 1)


@pytest.mark.parametrize("question", [ASK, RUN], ids=["question", "approval"])
async def test_a_run_that_was_cancelled_before_it_waits_ends_with_nothing_open(question: Reply) -> None:
    store = FakeWorkerRunStore(CLAIM)
    store.wait_outcomes = [WaitOutcome.CANCELLED]
    _, leases = await execute(store, [PLAN, question])
    assert [(end.status, end.stop_reason) for end in store.ends] == [(RunStatus.CANCELLED, StopReason.CANCELLED)]
    last = [state for kind, state in kinds(store) if kind == "tool_ask_user"][-1:]
    assert last == (["error"] if question is ASK else []), "a call that has begun ends, no other begins"
    assert leases.checks == []


@pytest.mark.parametrize(
    ("question", "name"), [(ASK, "tool_ask_user"), (RUN, "tool_bash")], ids=["question", "approval"]
)
async def test_steering_before_a_run_waits_replaces_its_question(question: Reply, name: str) -> None:
    store = FakeWorkerRunStore(CLAIM)
    store.wait_outcomes = [WaitOutcome.STEERED]
    engines, leases = await execute(store, [PLAN, question, says("No tea, then.")])
    assert [end.stop_reason for end in store.ends] == [StopReason.COMPLETED]
    assert [state for kind, state in kinds(store) if kind == name] == ["init", "error"], "it was not asked, nor done"
    answer = engines.model.requests[-1].messages[-1]
    assert (answer.role, "said something" in answer.text()) == (Role.TOOL, True)
    assert leases.checks == []
