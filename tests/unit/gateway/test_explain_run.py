"""How each state of a run is explained, and what happens next by itself."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from gateway.service.run.explain import explain_run
from shared.clock import isoformat
from shared.contract.run import RunRecord, RunStatus, StopReason, Usage
from shared.contract.state import AgentState, CallInFlight, Phase
from shared.store.run_diagnosis import RunDiagnosis

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
BEFORE, LATER = NOW - timedelta(seconds=5), NOW + timedelta(seconds=5)
RUN = RunRecord(run_id="r", thread_id="t", task="x", created_at=isoformat(BEFORE))


def diagnosis(status: RunStatus, *, state: AgentState | None = None, **members: object) -> RunDiagnosis:
    """Return an active run with an earlier event and a later check; an owned one has a lease."""
    is_owned = status is RunStatus.PROCESSING
    run = RUN.model_copy(update={"status": status, "owner": "w" if is_owned else None, **members})
    return RunDiagnosis(
        run=run,
        state=state or AgentState(),
        now=NOW,
        is_active=True,
        runs_ahead=0,
        last_event_at=BEFORE,
        lease_until=LATER if is_owned else None,
        is_owner_alive=is_owned,
        next_check_at=LATER,
    )


def test_a_run_that_nobody_has_claimed_waits_for_a_worker() -> None:
    found = explain_run(diagnosis(RunStatus.PENDING))
    assert (found.doing, found.since) == ("It waits for a free worker.", RUN.created_at)
    assert found.next.what == "A worker's reaper publishes its job again."
    assert found.next.at == isoformat(LATER)
    assert (found.owner, found.is_owner_alive) == (None, False)


def test_a_queued_run_names_the_number_of_runs_ahead() -> None:
    found = explain_run(replace(diagnosis(RunStatus.PENDING), is_active=False, runs_ahead=2))
    assert found.doing == "It waits behind 2 run(s) of its thread."
    assert (found.next.what, found.next.at) == ("It begins when the runs before it have ended.", None)
    assert found.last_progress_at is None, "the thread's last event is another run's"


def test_a_run_in_tool_calls_names_how_many_and_since_when() -> None:
    calls = tuple(CallInFlight(call_id=name, name="bash", uuid=name, began_at=RUN.created_at) for name in "ab")
    found = explain_run(diagnosis(RunStatus.PROCESSING, state=AgentState(in_flight=calls)))
    assert (found.doing, found.since) == ("It carries out 2 tool call(s).", RUN.created_at)
    assert found.next.what == "If its worker stops renewing its lease, another one takes it over."
    assert found.next.at == isoformat(LATER)
    assert (found.owner, found.is_owner_alive) == ("w", True)


def test_a_run_between_tool_calls_waits_for_the_model() -> None:
    planning = explain_run(diagnosis(RunStatus.PROCESSING))
    working = explain_run(diagnosis(RunStatus.PROCESSING, state=AgentState(phase=Phase.EXECUTION)))
    assert planning.doing == "It waits for the model's plan."
    assert (working.doing, working.since) == ("It waits for the model's next step.", isoformat(BEFORE))


def test_a_run_whose_worker_was_lost_waits_for_another() -> None:
    found = explain_run(replace(diagnosis(RunStatus.PROCESSING), lease_until=BEFORE, is_owner_alive=True))
    assert (found.doing, found.since) == (
        "Its worker was lost; another one has to take it over.", isoformat(BEFORE),
    )  # fmt: skip
    assert found.next.what == "A reaper publishes its job again."
    assert found.is_owner_alive is False, "its heartbeat may outlast its lease by a little"


def test_a_run_that_was_cancelled_says_so_until_it_has_ended() -> None:
    found = explain_run(diagnosis(RunStatus.PROCESSING, cancel_requested_at=isoformat(NOW)))
    assert (found.doing, found.since) == ("It is being cancelled.", isoformat(NOW))
    assert found.next.what == "Its worker ends it, or a reaper does if the worker is gone."


def test_an_ended_run_names_its_stop_reason_and_usage() -> None:
    usage = Usage(steps=3, cost_usd=0.5)
    ended = diagnosis(
        RunStatus.FAILED, stop_reason=StopReason.POISON, message="Too much.", ended_at=isoformat(NOW), usage=usage
    )
    found = explain_run(replace(ended, is_active=False))
    assert (found.doing, found.since) == ("It has ended: poison. Too much.", isoformat(NOW))
    assert (found.last_progress_at, found.usage) == (isoformat(NOW), usage)
    assert (found.next.what, found.next.at) == ("Nothing: it can not change any more.", None)
