"""An accepted task is published once, queued, or ended if it cannot be published."""

import json

import pytest

from gateway.service.run.submit import RunSubmission
from shared.contract.api import ExecuteRequest, OnBusy
from shared.contract.message import Role
from shared.contract.run import ContextItem, RunJob, RunRecord, RunStatus, StopReason
from shared.contract.thread import NOBODY, ThreadOwner
from shared.errors import BrokerUnavailableError
from shared.store.run_values import SteerText, Submitted
from tests.fakes.fake_clock import FakeClock
from tests.fakes.fake_run_store import FakeAnswering, FakeCanceller, FakePublisher, FakeRunStore

_TASK = ExecuteRequest(task="t")


def _submission(
    store: FakeRunStore,
    publisher: FakePublisher,
    canceller: FakeCanceller | None = None,
    answering: FakeAnswering | None = None,
) -> RunSubmission:
    return RunSubmission(
        store, store, publisher, canceller or FakeCanceller(), answering or FakeAnswering(), clock=FakeClock()
    )


async def test_the_first_task_of_a_thread_is_published_at_once() -> None:
    store, publisher = FakeRunStore(), FakePublisher()
    answer = await _submission(store, publisher).submit("t", _TASK)
    assert answer.status is RunStatus.PROCESSING
    assert publisher.jobs == [RunJob(thread_id="t", run_id=answer.run_id)]
    assert answer.created_at == "2026-01-02T03:04:05.000000+00:00"


async def test_a_task_queued_after_another_is_pending_and_not_published() -> None:
    publisher = FakePublisher()
    submission = _submission(FakeRunStore(), publisher)
    await submission.submit("t", _TASK)
    assert (await submission.submit("t", _TASK)).status is RunStatus.PENDING
    assert len(publisher.jobs) == 1


async def test_a_repeated_request_that_no_worker_has_claimed_is_published_again() -> None:
    publisher = FakePublisher()
    submission = _submission(FakeRunStore(), publisher)
    answers = [await submission.submit("t", _TASK, idempotency_key="k") for _ in range(2)]
    assert answers[0] == answers[1]
    assert [job.run_id for job in publisher.jobs] == [answers[0].run_id] * 2


async def test_a_repeated_request_returns_the_status_of_its_run() -> None:
    store, publisher = FakeRunStore(), FakePublisher()
    submission = _submission(store, publisher)
    first = await submission.submit("t", _TASK, idempotency_key="k")
    store.runs[first.run_id] = store.runs[first.run_id].model_copy(update={"status": RunStatus.COMPLETED})
    again = await submission.submit("t", _TASK, idempotency_key="k")
    assert (again.run_id, again.status) == (first.run_id, RunStatus.COMPLETED)
    assert len(publisher.jobs) == 1


async def test_a_repeated_request_that_is_still_queued_is_pending() -> None:
    store, publisher = FakeRunStore(), FakePublisher()
    submission = _submission(store, publisher)
    await submission.submit("t", _TASK)
    await submission.submit("t", _TASK, idempotency_key="k")
    assert (await submission.submit("t", _TASK, idempotency_key="k")).status is RunStatus.PENDING
    assert len(publisher.jobs) == 1


async def test_a_run_that_cannot_be_published_ends_with_one_completion() -> None:
    store = FakeRunStore()
    with pytest.raises(BrokerUnavailableError):
        await _submission(store, FakePublisher(failures=1)).submit("t", _TASK)
    ((run_id, end),) = store.ends
    event = json.loads(end.event)
    assert (end.status, end.stop_reason) == (RunStatus.FAILED, StopReason.INTERNAL_ERROR)
    assert (event["run_id"], event["execute_type"], event["current_state"]) == (run_id, "flow_completion", "error")
    assert event["execute_result"]["stop_reason"] == "internal_error"
    assert event["execute_result"]["flow_completion_message"] == end.message


async def test_a_run_that_a_worker_claimed_meanwhile_is_not_ended() -> None:
    store = FakeRunStore()

    class _LosesTheAnswer(FakePublisher):
        """The job arrives, its confirmation does not."""

        async def publish(self, job: RunJob) -> None:
            store.claimed.add(job.run_id)
            raise BrokerUnavailableError

    answer = await _submission(store, _LosesTheAnswer()).submit("t", _TASK)
    assert answer.status is RunStatus.PROCESSING
    assert store.ends == []


async def test_runs_queued_after_an_unpublished_one_are_published_or_ended() -> None:
    store, publisher = FakeRunStore(), FakePublisher()
    submission = _submission(store, publisher)
    first = await submission.submit("t", _TASK, idempotency_key="k")
    second, third = [await submission.submit("t", _TASK) for _ in range(2)]
    publisher.failures = 2
    with pytest.raises(BrokerUnavailableError):
        await submission.submit("t", _TASK, idempotency_key="k")
    assert [run_id for run_id, _ in store.ends] == [first.run_id, second.run_id]
    assert publisher.jobs[-1].run_id == third.run_id


async def test_steer_adds_the_task_to_the_active_run_and_returns_that_run() -> None:
    store, publisher = FakeRunStore(), FakePublisher()
    submission = _submission(store, publisher)
    active = await submission.submit("t", _TASK)
    request = ExecuteRequest(
        task="and a roof", on_busy=OnBusy.STEER, context_data=(ContextItem(type="colour", content="red"),)
    )
    answer = await submission.submit("t", request)
    assert (answer.run_id, answer.created_at) == (active.run_id, active.created_at)
    assert (list(store.runs), len(publisher.jobs)) == ([active.run_id], 1)
    (steer,) = store.steering
    assert (steer.message.role, steer.message.text()) == (Role.USER, "<colour>\nred\n</colour>\n\nand a roof")
    event = json.loads(steer.event)
    assert (event["execute_type"], event["current_state"]) == ("user_message", "complete")
    assert event["execute_result"]["user_message_result"]["task"] == "and a roof"


async def test_steer_without_a_key_is_stored_once() -> None:
    store = FakeRunStore()
    submission = _submission(store, FakePublisher())
    await submission.submit("t", _TASK)
    await submission.submit("t", ExecuteRequest(task="and a roof", on_busy=OnBusy.STEER))
    assert len(store.keys) == 1, "a call that the store gets twice is recognised by the id of its request"


async def test_steer_without_an_active_run_becomes_a_run() -> None:
    store, publisher = FakeRunStore(), FakePublisher()
    answer = await _submission(store, publisher).submit("t", ExecuteRequest(task="t", on_busy=OnBusy.STEER))
    assert (answer.status, store.steering) == (RunStatus.PROCESSING, [])
    assert [job.run_id for job in publisher.jobs] == [answer.run_id]


async def test_interrupt_cancels_the_active_run_and_is_queued_first() -> None:
    store, publisher, canceller = FakeRunStore(), FakePublisher(), FakeCanceller()
    submission = _submission(store, publisher, canceller)
    active, queued = [await submission.submit("t", _TASK) for _ in range(2)]
    urgent = await submission.submit("t", ExecuteRequest(task="now", on_busy=OnBusy.INTERRUPT))
    assert urgent.status is RunStatus.PENDING
    assert (canceller.cancelled, store.inbox) == ([active.run_id], [urgent.run_id, queued.run_id])


async def test_interrupt_of_an_idle_thread_cancels_nothing() -> None:
    canceller = FakeCanceller()
    submission = _submission(FakeRunStore(), FakePublisher(), canceller)
    answer = await submission.submit("t", ExecuteRequest(task="now", on_busy=OnBusy.INTERRUPT))
    assert (answer.status, canceller.cancelled) == (RunStatus.PROCESSING, [])


async def test_interrupt_does_not_cancel_a_run_that_became_active_later() -> None:
    store, canceller = FakeRunStore(), FakeCanceller()
    submission = _submission(store, FakePublisher(), canceller)
    active = await submission.submit("t", _TASK)

    class _EndsMeanwhile(FakeRunStore):
        """The active run ends, and a later one is active before the store returns."""

        async def submit(
            self,
            run: RunRecord,
            *,
            on_busy: OnBusy,
            idempotency_key: str = "",
            steer: SteerText | None = None,
            owner: ThreadOwner = NOBODY,
        ) -> Submitted:
            submitted = await super().submit(run, on_busy=on_busy, idempotency_key=idempotency_key, steer=steer)
            self.active = "later"
            return submitted

    meanwhile = _EndsMeanwhile(runs=store.runs, active=active.run_id)
    await _submission(meanwhile, FakePublisher(), canceller).submit(
        "t", ExecuteRequest(task="now", on_busy=OnBusy.INTERRUPT)
    )
    assert canceller.cancelled == [active.run_id]
