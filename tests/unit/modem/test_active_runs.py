"""The runs of a process, and how each of them leaves it."""

import asyncio
from collections.abc import Callable

from modem.service.lease.active_runs import ActiveRun, ActiveRuns
from shared.contract.run import RunRecord, RunStatus
from tests.fakes.fake_clock import FakeClock
from tests.unit.workflow.runner.scene import NOW
from workflow.journal.ports import Stop

BEGAN = FakeClock().now()


def record(run_id: str = "r") -> RunRecord:
    return RunRecord(run_id=run_id, thread_id="t", task="tea", created_at=NOW, token=1, status=RunStatus.PROCESSING)


async def execute(
    runs: ActiveRuns, run_id: str = "r", until: Callable[[ActiveRun], asyncio.Event] | None = None
) -> Stop | None:
    with runs.enter(record(run_id), BEGAN) as active:
        if until is None:
            return await active.wait()
        await until(active).wait()
        return None


async def test_a_drain_without_runs_ends_at_once() -> None:
    await asyncio.wait_for(ActiveRuns().drain(1000), 5)


async def test_a_drain_asks_runs_to_hand_over_and_waits_for_them() -> None:
    runs, end = ActiveRuns(), asyncio.Event()
    run = asyncio.create_task(execute(runs, until=lambda _: end))
    await asyncio.sleep(0)
    drain = asyncio.create_task(runs.drain(1000))
    await asyncio.sleep(0)
    (active,) = runs
    assert (active.should_hand_over, drain.done()) == (True, False)
    end.set()
    await asyncio.wait_for(drain, 5)
    assert await run is None, "nobody stopped it at once"


async def test_a_drain_stops_the_runs_after_its_timeout_and_waits_for_them() -> None:
    runs = ActiveRuns()
    executing = [asyncio.create_task(execute(runs, f"r{number}")) for number in range(2)]
    await asyncio.sleep(0)
    await asyncio.wait_for(runs.drain(0.001), 5)
    assert await asyncio.gather(*executing) == [Stop.HAND_OVER] * 2


async def test_a_run_that_begins_during_the_drain_is_handed_over_too() -> None:
    runs = ActiveRuns()
    await runs.drain(1000)
    with runs.enter(record(), BEGAN) as active:
        assert active.should_hand_over


async def test_a_stopped_run_keeps_its_first_reason() -> None:
    active = ActiveRun(record(), BEGAN)
    active.stop(Stop.LEASE_LOST)
    active.stop(Stop.CANCELLED)
    assert await asyncio.wait_for(active.wait(), 5) is Stop.LEASE_LOST


async def test_a_run_that_was_not_stopped_goes_on() -> None:
    runs = ActiveRuns()
    with runs.enter(record(), BEGAN) as active:
        assert not active.should_hand_over
        assert runs.find("r") is active
    assert runs.find("r") is None


async def test_the_end_of_one_run_leaves_the_others_counted() -> None:
    runs, end = ActiveRuns(), asyncio.Event()
    first = asyncio.create_task(execute(runs, "first", until=lambda _: end))
    second = asyncio.create_task(execute(runs, "second"))
    await asyncio.sleep(0)
    end.set()
    await first
    await asyncio.wait_for(runs.drain(0.001), 5)
    assert await second is Stop.HAND_OVER


async def test_an_attempt_that_this_process_takes_over_from_itself_stops_the_earlier_one() -> None:
    runs = ActiveRuns()
    earlier = asyncio.create_task(execute(runs))
    await asyncio.sleep(0)
    with runs.enter(record(), BEGAN) as later:
        assert await asyncio.wait_for(earlier, 5) is Stop.LEASE_LOST
        assert runs.find("r") is later, "the earlier attempt took nothing with it"
