"""One job from claim to end: claim the run, build its engine, run it, end it once, publish the next."""

import asyncio
import logging
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from modem.service.build_engine import EngineBuilder
from modem.service.end_unreadable import UnreadableRuns
from modem.service.lease.active_runs import ActiveRun, ActiveRuns
from modem.service.observers import LogObserver, Observers, note_claim
from modem.service.redis_retry import redis_retry
from modem.service.run_log.masking import SecretMask
from modem.service.run_log.run_log import MASKED_IN_PLACE, StoreRunLog
from modem.service.run_log.write_timing import PriorityGate
from shared.broker.publisher import RunPublisher
from shared.clock import SystemClock, isoformat
from shared.config import AgentConfig, ModemConfig, StreamConfig
from shared.contract.message import ChatMessage
from shared.contract.run import Question, RunJob, RunRecord, StopReason
from shared.contract.state import AgentState
from shared.errors import (
    BaudError,
    LeaseLostError,
    StoreUnavailableError,
    UnreadableRecordError,
    UnreadableRunError,
)
from shared.keys import ThreadKeys
from shared.log import bind
from shared.store.leases import LeaseStore
from shared.store.run_values import Claim, Ended, RunEnd, WaitOutcome
from shared.store.runs import RunStore
from workflow.agent.agent import Agent
from workflow.agent.prompts import task_message
from workflow.agent.tool_call_runner import ToolCallRunner
from workflow.journal.events import EventFactory
from workflow.journal.journal import Journal
from workflow.journal.limits import Limits
from workflow.journal.observer import (
    RunEnded,
    RunHandedOver,
    RunObserver,
    RunWaiting,
)
from workflow.journal.outcome import Outcome
from workflow.runner.runner import Runner

_log = logging.getLogger(__name__)

_CANCELLED: Final = "The run was cancelled."
_POISON: Final = "The run took its worker down several times in a row; it is not tried again."
# In case the broker loses the published job.
_HAND_OVER_CHECK_SECONDS: Final = 1.0
_OVERTAKEN: Final = (
    "The user said something before this was put to them, so it was not. Read that first, and do this again if it is"
    " still right."
)
_FAULT: Final = "A fault of the server ended the run."


@dataclass(frozen=True, slots=True)
class RunServices:
    """What every run of this process needs."""

    worker_id: str
    keys: Callable[[str], ThreadKeys]
    runs: RunStore
    engines: EngineBuilder
    publisher: RunPublisher
    active: ActiveRuns
    leases: LeaseStore
    agent: AgentConfig
    modem: ModemConfig
    stream: StreamConfig
    clock: SystemClock
    mask: SecretMask = field(default_factory=SecretMask)
    priority_gate: PriorityGate = field(default_factory=PriorityGate)
    observer: RunObserver = field(default_factory=lambda: Observers([LogObserver()]))


async def execute_run(job: RunJob, services: RunServices) -> None:
    """Execute a run to its end if it can be claimed; a second message for the same run does nothing.

    Raises StoreUnavailableError when Redis does not answer the claim.
    """
    with bind(thread_id=job.thread_id, run_id=job.run_id):
        if services.active.is_draining:
            # The consumer may receive the very job that it has just handed over; leave it to another worker.
            await services.leases.schedule_check(job, due_in_seconds=_HAND_OVER_CHECK_SECONDS)
            return
        try:
            await _execute(job, services)
        except UnreadableRecordError as error:
            _log.exception("the records of the run cannot be read: %s", error.message)
            unreadable = UnreadableRuns(services.runs, services.leases, services.publisher, services.clock)
            await unreadable.end(job, token=error.token if isinstance(error, UnreadableRunError) else "")


async def _execute(job: RunJob, services: RunServices) -> None:
    with services.priority_gate.priority():
        claim = await _claim(job, services)
    if claim is None:
        _log.info("nothing to do: the run is claimed, ended or queued")
        return
    note_claim(claim.run, services.observer)
    with services.active.enter(claim.run, services.clock.now()) as active:
        try:
            await _carry_out(claim, services, active)
            return
        except LeaseLostError:
            _log.warning("lease lost: another worker may own the run; nothing more is written")
        except StoreUnavailableError:
            _log.error("Redis was unavailable for too long; the run continues once it is back")
        except UnreadableRecordError as error:
            raise UnreadableRunError(error.message, str(claim.run.token)) from error
    await _give_back(claim.run, services)


async def _claim(job: RunJob, services: RunServices) -> Claim | None:
    claim_id = uuid.uuid4().hex  # the same for every try: a claim whose reply was lost still counts
    claim = partial(
        services.runs.claim,
        job.thread_id,
        job.run_id,
        owner=services.worker_id,
        claim_id=claim_id,
        lease_seconds=services.modem.lease_seconds,
    )
    return await redis_retry(claim, job.run_id, unless=lambda: services.active.is_draining)


async def _give_back(run: RunRecord, services: RunServices) -> None:
    """Release and publish a run whose lease could not be renewed, unless another worker has claimed it.

    Otherwise the next claim would count a crash of the run.
    """
    with suppress(StoreUnavailableError):  # the reaper finds it
        hand_over = partial(_hand_over, run, services)
        await redis_retry(hand_over, run.run_id, unless=lambda: services.active.is_draining)


async def _carry_out(claim: Claim, services: RunServices, active: ActiveRun) -> None:
    run = claim.run
    events = EventFactory(run.thread_id, run.run_id, services.clock, full_deltas=run.legacy_stream is not None)
    log = StoreRunLog(
        services.runs,
        run,
        services.stream,
        mask=services.mask,
        streamed_fields=lambda: services.engines.tools.streamed_fields,
        priority_gate=services.priority_gate,
    )
    try:
        messages, state = await _masked(claim, services.mask)
        journal = Journal(log, events, run, messages=messages, state=state, observer=services.observer)
        ended: Ended | None = None
        while ended is None:  # a run that was steered while it ended or began to wait goes on
            outcome = await _outcome(claim, services, journal, active)
            if outcome is None:
                await log.commit([])
                await _hand_over(run, services)
                return
            if isinstance(outcome, Question):
                wait_outcome = await _wait(run, outcome, journal, log, services)
                if wait_outcome is WaitOutcome.WAITING:
                    return
                if wait_outcome is WaitOutcome.STEERED:
                    await journal.withdraw(outcome.call_id, _OVERTAKEN)
                    continue
                outcome = await _close(journal, StopReason.CANCELLED, _CANCELLED)
            ended = await _end(run, outcome, events, log, services.observer)
    finally:
        await log.close()
    await settle_end(run, ended, services)


async def _end(
    run: RunRecord, outcome: Outcome, events: EventFactory, log: StoreRunLog, observer: RunObserver
) -> Ended | None:
    """Write the end of a run; None when it would complete but was steered meanwhile."""
    ended = await log.finish(_end_of(outcome, events))
    if ended is not None:
        observer.observe(RunEnded(run, outcome))
    return ended


async def _masked(claim: Claim, mask: SecretMask) -> tuple[Sequence[ChatMessage], AgentState]:
    """Return the conversation without secrets: older messages may hold a value that became a secret later."""
    is_plain = all(isinstance(message.content, str) for message in claim.messages)  # size() leaves images out
    if is_plain and sum(message.size() for message in claim.messages) < MASKED_IN_PLACE:
        return mask.conversation(claim.messages, claim.state)
    return await asyncio.to_thread(mask.conversation, claim.messages, claim.state)


async def settle_end(run: RunRecord, ended: Ended, services: RunServices) -> None:
    """Forget a run that has ended, and publish the job of the one that is active now."""
    with suppress(StoreUnavailableError):  # the reaper forgets it otherwise
        await services.leases.forget(RunJob(thread_id=run.thread_id, run_id=run.run_id))
    if ended.next_run_id:
        await services.publisher.publish(RunJob(thread_id=run.thread_id, run_id=ended.next_run_id))


async def _hand_over(run: RunRecord, services: RunServices) -> None:
    job = RunJob(thread_id=run.thread_id, run_id=run.run_id)
    if await services.leases.release(run):
        await services.leases.schedule_check(job, due_in_seconds=_HAND_OVER_CHECK_SECONDS)
        await services.publisher.publish(job)
        services.observer.observe(RunHandedOver(run))


async def _wait(
    run: RunRecord, asked: Question, journal: Journal, log: StoreRunLog, services: RunServices
) -> WaitOutcome:
    """Let a run wait for a person, without slot and lease; the reaper answers when the time is up.

    It does not wait if it was cancelled or steered meanwhile.
    """
    timeout_seconds = services.agent.question_timeout
    expires_at = isoformat(services.clock.now() + timedelta(seconds=timeout_seconds))
    question = asked.model_copy(update={"expires_at": expires_at})
    outcome = await log.wait(question, journal.interrupt)
    if outcome is WaitOutcome.WAITING:
        job = RunJob(thread_id=run.thread_id, run_id=run.run_id)
        await services.leases.schedule_question_check(job, due_in_seconds=timeout_seconds)
        services.observer.observe(RunWaiting(run, question))
    return outcome


async def _outcome(
    claim: Claim, services: RunServices, journal: Journal, active: ActiveRun
) -> Outcome | Question | None:
    run = claim.run
    if run.crashes >= services.modem.max_crashes:
        return await _close(journal, StopReason.POISON, _POISON)
    if run.cancel_requested_at:
        return await _close(journal, StopReason.CANCELLED, _CANCELLED)
    try:
        with services.priority_gate.priority():
            task = task_message(run, claim.thread, claim.messages)
            find_place = partial(services.engines.place, run.thread_id)
            await journal.begin(task, find_place, tools=services.engines.tools)
        now = services.clock.now()
        engine = await services.engines.build(run.thread_id, now.date())
        agent = Agent(engine, journal, ToolCallRunner(engine, journal, thread_id=run.thread_id, run_id=run.run_id))
        limits = Limits.of(services.agent, run.parameters).after(_elapsed_seconds(run, now))
        return await Runner(agent, journal, limits).run(active)
    except (LeaseLostError, StoreUnavailableError, asyncio.CancelledError):
        raise
    except BaudError as error:
        _log.exception("the run failed: %s", error.message)
        return await _close(journal, StopReason.INTERNAL_ERROR, error.message)
    except Exception:  # noqa: BLE001 - edge of the task: whatever happens, the run ends exactly once
        _log.exception("the run failed unexpectedly")
        return await _close(journal, StopReason.INTERNAL_ERROR, _FAULT)


async def _close(journal: Journal, reason: StopReason, message: str) -> Outcome:
    """Return the outcome of a run that ends outside its steps, once its open calls are closed."""
    await journal.close_open_calls(message)
    return Outcome(reason, message, journal.usage)


def _elapsed_seconds(run: RunRecord, now: datetime) -> float:
    """Return how long the run has worked since it began; waiting for a person does not count."""
    if not run.started_at:
        return 0.0
    return (now - datetime.fromisoformat(run.started_at)).total_seconds() - run.waited_ms / 1000


def _end_of(outcome: Outcome, events: EventFactory) -> RunEnd:
    return RunEnd(
        status=outcome.status,
        stop_reason=outcome.stop_reason,
        message=outcome.message,
        usage=outcome.usage,
        event=events.completion(outcome).to_json(),
    )


async def refuse_run(run: RunRecord, message: str, services: RunServices) -> None:
    """End a run that no worker can begin, with one event that gives the reason."""
    events = EventFactory(run.thread_id, run.run_id, services.clock)
    ended = await services.runs.fail_pending(run, _end_of(Outcome(StopReason.INTERNAL_ERROR, message), events))
    if ended:
        await settle_end(run, ended, services)
