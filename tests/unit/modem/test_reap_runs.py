"""The reaper finds runs without a worker, publishes their jobs again, and leaves all others alone."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from modem.service.end_unreadable import UnreadableRuns
from modem.service.lease import reap_runs
from modem.service.lease.active_runs import ActiveRuns
from modem.service.lease.expire_questions import QuestionExpiry
from modem.service.lease.reap_runs import Reaper
from shared.clock import isoformat
from shared.config import ModemConfig
from shared.contract.run import Answer, Decision, Question, QuestionKind, RunJob, RunStatus
from shared.errors import RunNotWaitingError, StoreUnavailableError
from shared.store.leases import OpenRun
from tests.fakes.fake_clock import FakeClock
from tests.fakes.fake_lease_store import FakeLeaseStore
from tests.fakes.fake_worker_run_store import FakeWorkerRunStore
from tests.unit.modem.test_execute_run import CLAIM, FakePublisher

CONFIG = ModemConfig(lease_seconds=10)
JOB = RunJob(thread_id="t", run_id="r")
DEFAULT = "decide yourself"


def expiry(store: FakeWorkerRunStore | None = None) -> QuestionExpiry:
    return QuestionExpiry(store or FakeWorkerRunStore(), DEFAULT, FakeClock())


def reaper(
    leases: FakeLeaseStore,
    publisher: FakePublisher,
    store: FakeWorkerRunStore | None = None,
    config: ModemConfig = CONFIG,
    active: ActiveRuns | None = None,
) -> Reaper:
    runs = store or FakeWorkerRunStore()
    unreadable = UnreadableRuns(runs, leases, publisher, FakeClock())
    return Reaper(leases, publisher, config, expiry(store), unreadable=unreadable, active=active)


def asked(kind: QuestionKind, *, seconds_left: float) -> OpenRun:
    expires_at = isoformat(FakeClock().now() + timedelta(seconds=seconds_left))
    question = Question(kind=kind, call_id="c", question="?", expires_at=expires_at)
    return OpenRun(JOB, RunStatus.WAITING, True, False, 0.0, question)


def open_run(status: RunStatus, *, is_active: bool = True, left: float = 0.0, is_cancelled: bool = False) -> OpenRun:
    return OpenRun(JOB, status, is_active, is_cancelled, left)


async def inspect(run: OpenRun | None) -> tuple[list[RunJob], FakeLeaseStore]:
    """Return what a reaper published for this due run, and the lease store afterwards."""
    leases, publisher = FakeLeaseStore(), FakePublisher()
    leases.due = [JOB]
    if run is not None:
        leases.open_runs = {"r": run}
    assert await reaper(leases, publisher).inspect_once() == len(publisher.jobs)
    return publisher.jobs, leases


@pytest.mark.parametrize("left", [0.0, -3.0], ids=["given back", "ran out"])
async def test_a_run_without_a_lease_is_published_again(left: float) -> None:
    published, leases = await inspect(open_run(RunStatus.PROCESSING, left=left))
    assert published == [JOB]
    assert leases.holds == [10], "checked again after a lease, should the job be lost"
    assert (leases.checks, leases.forgotten) == ([], [])


async def test_a_cancelled_run_without_a_lease_is_published_again() -> None:
    published, _ = await inspect(open_run(RunStatus.PROCESSING, is_cancelled=True))
    assert published == [JOB], "its next owner ends it"


async def test_a_run_with_a_lease_is_checked_when_the_lease_can_have_expired() -> None:
    published, leases = await inspect(open_run(RunStatus.PROCESSING, left=4.0))
    ((run_id, seconds),) = leases.checks
    assert (published, run_id) == ([], "r")
    assert 4.0 < seconds < 5.0


@pytest.mark.parametrize(("slots", "published"), [(2, [JOB]), (1, [])], ids=["a slot is free", "all slots are full"])
async def test_a_run_that_waits_for_a_slot_gets_no_second_message_while_all_are_full(
    slots: int, published: list[RunJob]
) -> None:
    leases, publisher, active = FakeLeaseStore(), FakePublisher(), ActiveRuns()
    leases.due, leases.open_runs = [JOB], {"r": open_run(RunStatus.PENDING)}
    config = ModemConfig(lease_seconds=10, concurrency=slots)
    with active.enter(CLAIM.run, FakeClock().now()):
        await reaper(leases, publisher, config=config, active=active).inspect_once()
    assert (publisher.jobs, leases.checks) == (published, [("r", 60.0)])


async def test_an_active_run_that_nobody_claimed_is_published_again() -> None:
    published, leases = await inspect(open_run(RunStatus.PENDING))
    assert (published, leases.checks) == ([JOB], [("r", 60.0)])


@pytest.mark.parametrize(
    ("run", "seconds"),
    [(open_run(RunStatus.PENDING, is_active=False), 10.0)],
    ids=["queued"],
)
async def test_a_run_that_waits_its_turn_is_left_alone(run: OpenRun, seconds: float) -> None:
    published, leases = await inspect(run)
    assert (published, leases.checks, leases.forgotten) == ([], [("r", seconds)], [])


async def test_an_open_question_is_checked_again_when_its_time_is_up() -> None:
    published, leases = await inspect(asked(QuestionKind.ASK_USER, seconds_left=30))
    assert (published, leases.checks) == ([], [("r", 30.25)])


@pytest.mark.parametrize(("kind", "decision"), [(QuestionKind.ASK_USER, None), (QuestionKind.APPROVAL, Decision.DENY)])
async def test_a_question_whose_time_is_up_is_answered_with_the_default(
    kind: QuestionKind, decision: Decision | None
) -> None:
    leases, publisher, store = FakeLeaseStore(), FakePublisher(), FakeWorkerRunStore()
    leases.due, leases.open_runs = [JOB], {"r": asked(kind, seconds_left=-1)}
    assert await reaper(leases, publisher, store).inspect_once() == 1
    assert store.answers == [Answer(call_id="c", text=DEFAULT, decision=decision)]


async def test_a_persons_answer_before_the_default_is_kept() -> None:
    leases, publisher, store = FakeLeaseStore(), FakePublisher(), FakeWorkerRunStore()
    store.answer_failure = RunNotWaitingError()
    leases.due, leases.open_runs = [JOB], {"r": asked(QuestionKind.ASK_USER, seconds_left=-1)}
    assert await reaper(leases, publisher, store).inspect_once() == 0
    assert publisher.jobs == []


async def test_the_question_of_a_cancelled_run_is_answered_at_once() -> None:
    leases, publisher, store = FakeLeaseStore(), FakePublisher(), FakeWorkerRunStore()
    waiting = replace(asked(QuestionKind.ASK_USER, seconds_left=30), is_cancel_requested=True)
    leases.due, leases.open_runs = [JOB], {"r": waiting}
    assert await reaper(leases, publisher, store).inspect_once() == 1
    assert (publisher.jobs, len(store.answers)) == ([JOB], 1), "its next owner ends it"


@pytest.mark.parametrize("is_cancelled", [True, False])
async def test_a_cancelled_run_that_waits_makes_way_for_the_queued_one(is_cancelled: bool) -> None:
    leases, publisher, store = FakeLeaseStore(), FakePublisher(), FakeWorkerRunStore()
    queued = OpenRun(RunJob(thread_id="t", run_id="next"), RunStatus.PENDING, False, False, 0.0, queued_after="r")
    waiting = replace(asked(QuestionKind.ASK_USER, seconds_left=30), is_cancel_requested=is_cancelled)
    leases.due, leases.open_runs = [queued.job], {"next": queued, "r": waiting}
    assert await reaper(leases, publisher, store).inspect_once() == int(is_cancelled)
    assert publisher.jobs == [JOB] * is_cancelled
    assert leases.checks == [("next", 10.0)]


async def test_a_run_that_ended_or_is_gone_is_forgotten() -> None:
    published, leases = await inspect(None)
    assert (published, leases.checks, leases.forgotten) == ([], [], ["r"])


async def test_an_unreachable_run_stays_due_and_delays_no_other() -> None:
    leases, publisher = FakeLeaseStore(), FakePublisher()
    leases.due = [RunJob(thread_id="t", run_id="far"), JOB]
    leases.unreachable, leases.open_runs = {"far"}, {"r": open_run(RunStatus.PROCESSING)}
    assert await reaper(leases, publisher).inspect_once() == 1
    assert publisher.jobs == [JOB]
    assert (leases.checks, leases.forgotten) == ([], [])


async def test_every_due_run_is_checked_batch_by_batch() -> None:
    leases, publisher = FakeLeaseStore(), FakePublisher()
    leases.due = [RunJob(thread_id="t", run_id=f"r{number}") for number in range(450)]
    leases.open_runs = {job.run_id: OpenRun(job, RunStatus.PROCESSING, True, False, 0.0) for job in leases.due}
    assert await reaper(leases, publisher).inspect_once() == 450
    assert len({job.run_id for job in publisher.jobs}) == 450
    assert len(leases.holds) == 3


async def test_the_reaper_goes_on_when_redis_is_back_after_the_owners(monkeypatch: pytest.MonkeyPatch) -> None:
    leases, publisher = FakeLeaseStore(), FakePublisher()
    leases.failure = StoreUnavailableError()
    leases.due, leases.open_runs = [JOB], {"r": open_run(RunStatus.PROCESSING)}
    monkeypatch.setattr(reap_runs, "NOTICE_SECONDS", 0.0)
    reaping = asyncio.create_task(reaper(leases, publisher, config=ModemConfig(lease_seconds=0.004)).run())
    await asyncio.sleep(0)
    assert not reaping.done()
    leases.failure = None
    await leases.until(lambda: len(leases.holds) >= 2)
    reaping.cancel()
    await asyncio.gather(reaping, return_exceptions=True)
    assert (publisher.jobs, leases.pings) == ([JOB], 1)
