"""A run that is taken over only to be ended: its open calls are closed before the end."""

import asyncio

import orjson
import pytest

from modem.service.execute_run import execute_run
from modem.service.lease.active_runs import ActiveRuns
from shared.contract.message import Role
from shared.contract.run import StopReason
from shared.errors import ConfigurationError
from tests.fakes.fake_worker_run_store import FakeWorkerRunStore
from tests.unit.modem.test_execute_run import JOB, FakeEngineBuilder, kinds, services_with
from tests.unit.modem.test_execute_takeover import taken_over
from tests.unit.workflow.runner.scene import NOW


@pytest.mark.parametrize(
    ("crashes", "cancel_requested_at", "reason"),
    [(3, None, StopReason.POISON), (1, NOW, StopReason.CANCELLED)],
    ids=["poison", "cancelled"],
)
async def test_a_run_that_is_only_ended_closes_what_its_last_worker_left_open(
    crashes: int, cancel_requested_at: str | None, reason: StopReason
) -> None:
    store = FakeWorkerRunStore(taken_over(crashes=crashes, cancel_requested_at=cancel_requested_at))
    await asyncio.wait_for(execute_run(JOB, services_with(store, ActiveRuns())), 5)
    (closing,) = [orjson.loads(data) for data in store.data if b"tool_bash" in data]
    assert (closing["uuid"], closing["execute_type"], closing["current_state"]) == ("u", "tool_bash", "error")
    assert closing["execute_start_at"] == NOW
    (write,) = [write for write in store.writes if write.messages]
    assert [(message.role, message.tool_call_id) for message in write.messages] == [(Role.TOOL, "b")]
    assert write.state is not None
    assert write.state.in_flight == ()
    assert [end.stop_reason for end in store.ends] == [reason]


@pytest.mark.parametrize("error", [ConfigurationError("[llm] model is unknown."), RuntimeError("secret")])
async def test_a_run_that_cannot_go_on_closes_what_its_last_worker_left_open(error: Exception) -> None:
    store = FakeWorkerRunStore(taken_over())
    engines = FakeEngineBuilder([], error=error)
    await asyncio.wait_for(execute_run(JOB, services_with(store, ActiveRuns(), engines)), 5)
    assert [state for kind, state in kinds(store) if kind == "tool_bash"] == ["error"]
    assert [end.stop_reason for end in store.ends] == [StopReason.INTERNAL_ERROR]
