"""Leases are kept while Redis answers, and a run whose lease cannot have held is stopped."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from modem.service.lease.active_runs import ActiveRun, ActiveRuns, LeaseKeeper
from modem.service.lease.cancel_listener import CancelListener
from shared.config import ModemConfig
from shared.contract.run import RunRecord, RunStatus
from shared.errors import StoreUnavailableError
from shared.store.leases import RenewalOutcome
from shared.store.redis.notifications import ListenerTimings
from tests.fakes.fake_clock import FakeClock
from tests.fakes.fake_lease_store import FakeLeaseStore
from tests.fakes.fake_notifications import FakeNotifications
from tests.unit.workflow.runner.scene import NOW
from workflow.journal.ports import Stop

CONFIG = ModemConfig(lease_seconds=10, renew_seconds=0.001)
_QUICK = ListenerTimings(batch_interval=0.0, retry=0.001, dead_after=0.03)


class Kept:
    """Two runs, `a` and `b`, of one process, and the keeper of their leases."""

    def __init__(self, stack: ExitStack) -> None:
        self.clock = FakeClock()
        self.leases = FakeLeaseStore()
        self.active = ActiveRuns()
        self.keeper = LeaseKeeper(self.leases, self.active, CONFIG, self.clock)
        self.a, self.b = (stack.enter_context(self.active.enter(_record(name), self.clock.now())) for name in "ab")

    async def renew(self) -> None:
        await self.keeper.renew(list(self.active))


def _record(run_id: str) -> RunRecord:
    return RunRecord(run_id=run_id, thread_id="t", task="tea", created_at=NOW, token=1, status=RunStatus.PROCESSING)


@pytest.fixture
def kept() -> Iterator[Kept]:
    with ExitStack() as stack:
        yield Kept(stack)


async def stop_of(run: ActiveRun) -> Stop | None:
    """Return the stop reason of the run, if it was stopped."""
    waiting = asyncio.create_task(run.wait())
    await asyncio.sleep(0)
    if waiting.done():
        return waiting.result()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    return None


async def test_all_leases_are_renewed_in_one_call_and_the_runs_go_on(kept: Kept) -> None:
    await kept.renew()
    assert kept.leases.renewed == [("a", "b")]
    assert (await stop_of(kept.a), await stop_of(kept.b)) == (None, None)


async def test_a_lost_run_is_stopped_and_the_others_go_on(kept: Kept) -> None:
    kept.leases.outcomes["a"] = RenewalOutcome.LOST
    await kept.renew()
    assert (await stop_of(kept.a), await stop_of(kept.b)) == (Stop.LEASE_LOST, None)


async def test_a_run_with_a_cancel_request_is_cancelled(kept: Kept) -> None:
    kept.leases.outcomes["b"] = RenewalOutcome.CANCEL_ASKED
    await kept.renew()
    assert (await stop_of(kept.a), await stop_of(kept.b)) == (None, Stop.CANCELLED)


async def test_runs_go_on_while_redis_is_away_for_less_than_a_lease(kept: Kept) -> None:
    await kept.renew()
    kept.leases.failure = StoreUnavailableError()
    kept.clock.advance(9.9)
    await kept.renew()
    assert (await stop_of(kept.a), await stop_of(kept.b)) == (None, None)
    kept.leases.failure = None
    await kept.renew()
    kept.leases.failure = StoreUnavailableError()
    kept.clock.advance(9.9)
    await kept.renew()
    assert (await stop_of(kept.a), await stop_of(kept.b)) == (None, None), "counted from the last renewal"


async def test_runs_are_stopped_when_redis_is_away_for_longer_than_a_lease(kept: Kept) -> None:
    await kept.renew()
    kept.leases.failure = StoreUnavailableError()
    kept.clock.advance(10.1)
    await kept.renew()
    assert (await stop_of(kept.a), await stop_of(kept.b)) == (Stop.LEASE_LOST, Stop.LEASE_LOST)


async def test_a_run_whose_node_is_away_is_stopped_alone_after_a_lease(kept: Kept) -> None:
    await kept.renew()
    kept.leases.outcomes["a"] = RenewalOutcome.UNKNOWN
    kept.clock.advance(9.9)
    await kept.renew()
    assert (await stop_of(kept.a), await stop_of(kept.b)) == (None, None)
    kept.clock.advance(0.2)
    await kept.renew()
    assert (await stop_of(kept.a), await stop_of(kept.b)) == (Stop.LEASE_LOST, None)


async def test_a_lease_that_was_never_renewed_counts_from_its_claim(kept: Kept) -> None:
    kept.clock.advance(6)
    with kept.active.enter(_record("late"), kept.clock.now()) as late:
        kept.leases.failure = StoreUnavailableError()
        kept.clock.advance(5)
        await kept.renew()
        assert (await stop_of(kept.a), await stop_of(late)) == (Stop.LEASE_LOST, None)


async def test_an_attempt_has_lasted_after_four_leases(kept: Kept) -> None:
    kept.clock.advance(39)
    with kept.active.enter(_record("late"), kept.clock.now()):
        await kept.renew()
        kept.clock.advance(2)
        await kept.renew()
    assert kept.leases.lasted == [frozenset(), frozenset({"a", "b"})]


async def test_the_keeper_renews_again_and_again_until_it_is_cancelled(kept: Kept) -> None:
    keeping = asyncio.create_task(kept.keeper.run())
    await kept.leases.until(lambda: len(kept.leases.renewed) >= 3)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    assert keeping.cancelled()


def listen(notifications: FakeNotifications, kept: Kept) -> asyncio.Task[None]:
    listener = CancelListener(notifications, "channel", kept.keeper, kept.active, timings=_QUICK)

    async def both() -> None:
        await asyncio.gather(listener.listen(), listener.renew())

    return asyncio.create_task(both())


async def test_a_notification_renews_the_leases_at_once_also_after_a_reconnect(kept: Kept) -> None:
    notifications = FakeNotifications()
    listening = listen(notifications, kept)
    await kept.leases.until(lambda: len(kept.leases.renewed) == 1)
    notifications.notify("channel")
    await kept.leases.until(lambda: len(kept.leases.renewed) == 2)
    notifications.cut()
    await kept.leases.until(lambda: len(kept.leases.renewed) == 3)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def test_a_silent_connection_that_answers_pings_is_kept(kept: Kept) -> None:
    notifications = FakeNotifications()
    listening = listen(notifications, kept)
    async with asyncio.timeout(5):
        await notifications.changed.wait()
        assert notifications.subscription is not None
        while notifications.subscription.pings < 5:
            notifications.subscription.pinged.clear()
            await notifications.subscription.pinged.wait()
    assert notifications.opened == 1
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def test_a_connection_that_does_not_answer_is_reopened(kept: Kept) -> None:
    notifications = FakeNotifications()
    listening = listen(notifications, kept)
    async with asyncio.timeout(5):
        while notifications.opened < 3:
            await notifications.changed.wait()
            notifications.changed.clear()
            if notifications.subscription is not None:
                notifications.subscription.is_dead = True
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def test_a_stale_renewal_of_an_earlier_attempt_does_not_stop_a_fresh_claim(kept: Kept) -> None:
    with kept.active.enter(_record("c"), kept.clock.now()):
        await kept.renew()
    kept.leases.failure = StoreUnavailableError()
    kept.clock.advance(30)
    with kept.active.enter(_record("c"), kept.clock.now()) as again:
        kept.clock.advance(1)
        await kept.renew()
        assert await stop_of(again) is None


async def test_a_renewal_that_was_asked_for_earlier_does_not_make_a_lease_older(kept: Kept) -> None:
    early = asyncio.create_task(kept.renew())
    gate = kept.leases.hold_next()
    await gate.reached()
    kept.clock.advance(8)
    await kept.renew()
    gate.release()
    await early
    kept.leases.failure = StoreUnavailableError()
    kept.clock.advance(5)
    await kept.renew()
    assert await stop_of(kept.a) is None
