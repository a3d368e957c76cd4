"""Who looks on is told what happens to a run, in order, and can do it no harm."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace

import pytest

from modem.service.execute_run import execute_run
from modem.service.lease.active_runs import ActiveRuns
from modem.service.observers import LogObserver, Observers
from shared.contract.run import StopReason
from shared.store.run_values import Claim
from tests.fakes.fake_worker_run_store import FakeWorkerRunStore
from tests.fakes.scripted_model import Script, calls, says
from tests.unit.modem.test_execute_run import CLAIM, JOB, FakeEngineBuilder, services_with
from tests.unit.modem.test_execute_takeover import taken_over
from tests.unit.workflow.runner.scene import PLAN
from workflow.journal.observer import (
    RunClaimed,
    RunEnded,
    RunFact,
    RunHandedOver,
    RunResumed,
    RunTakenOver,
    RunWaiting,
    StepEnded,
    ToolCallEnded,
)
from workflow.tool.registry import ToolRegistry

ASK = calls(("ask_user", {"question": "Tea?"}))


class FakeObserver:
    """Keeps what it is told, or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.facts: list[RunFact] = []
        self._error = error

    def observe(self, fact: RunFact) -> None:
        if self._error is not None:
            raise self._error
        self.facts.append(fact)

    def kinds(self) -> list[type[RunFact]]:
        return [type(fact) for fact in self.facts]


async def observed(script: Sequence[Script], claim: Claim = CLAIM, *others: FakeObserver) -> FakeObserver:
    observer = FakeObserver()
    registry = ToolRegistry.from_config({}, plugins=())
    services = services_with(FakeWorkerRunStore(claim), ActiveRuns(), FakeEngineBuilder([*script], registry))
    services = replace(services, observer=Observers([*others, LogObserver(), observer]))
    await asyncio.wait_for(execute_run(JOB, services), 5)
    return observer


async def test_steps_and_tool_calls_come_between_claim_and_end() -> None:
    observer = await observed([PLAN, calls(("todo_read", {})), says("Done.")])
    assert observer.kinds() == [
        RunClaimed, StepEnded, ToolCallEnded, StepEnded, ToolCallEnded, StepEnded, RunEnded,
    ]  # fmt: skip
    assert [fact.tool for fact in observer.facts if isinstance(fact, ToolCallEnded)] == ["job_plan", "todo_read"]
    assert all(fact.usage.steps == 1 for fact in observer.facts if isinstance(fact, StepEnded))
    ended = observer.facts[-1]
    assert isinstance(ended, RunEnded)
    assert (ended.outcome.stop_reason, ended.outcome.usage.steps) == (StopReason.COMPLETED, 3)


async def test_a_run_that_waits_has_not_ended() -> None:
    observer = await observed([PLAN, ASK])
    assert observer.kinds()[-1] is RunWaiting
    assert RunEnded not in observer.kinds()


@pytest.mark.parametrize("after_crash", [True, False], ids=["its worker was lost", "handed over"])
async def test_a_later_attempt_says_why_it_continues(after_crash: bool) -> None:
    claim = taken_over()
    claim = replace(claim, run=claim.run.model_copy(update={"after_crash": after_crash}))
    observer = await observed([says("Done.")], claim)
    assert observer.kinds()[:2] == [RunClaimed, RunTakenOver if after_crash else RunResumed]
    lost = [fact for fact in observer.facts if isinstance(fact, ToolCallEnded)]
    assert [(fact.tool, fact.is_error) for fact in lost] == [("bash", True)]


async def test_an_observer_that_fails_harms_neither_the_run_nor_the_others(caplog: pytest.LogCaptureFixture) -> None:
    observer = await observed([says("Done.")], CLAIM, FakeObserver(ZeroDivisionError()))
    assert observer.kinds() == [RunClaimed, StepEnded, RunEnded]
    assert "an observer failed: FakeObserver" in caplog.text


async def test_each_fact_has_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "modem.service.observers")
    observer = await observed([PLAN, ASK])
    LogObserver().observe(RunHandedOver(CLAIM.run))
    assert len(caplog.messages) == len(observer.facts) + 1
    assert "tool call job_plan ended after" in caplog.text
    assert "the run waits for a person: ask_user" in caplog.text
