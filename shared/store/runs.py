"""Run records and their life cycle: submitted, claimed, written to under a token, ended once."""

from contextlib import suppress
from typing import Final

from shared.clock import SystemClock, isoformat
from shared.contract.api import OnBusy
from shared.contract.event import TASK_EVENT
from shared.contract.message import ChatMessage
from shared.contract.run import Answer, Question, RunJob, RunRecord
from shared.contract.state import AgentState
from shared.contract.thread import NOBODY, ThreadOwner, ThreadRecord
from shared.errors import (
    LeaseLostError,
    RunNotFoundError,
    RunNotWaitingError,
    StoreUnavailableError,
    UnreadableRecordError,
    UnreadableRunError,
)
from shared.keys import OPEN_RUNS_INDEX, WORKER_CHANNEL_PREFIX, run_thread
from shared.store.connection import StoreConnection
from shared.store.leases import ANSWERED_CHECK_SECONDS, open_run_member
from shared.store.records import (
    MESSAGES_PER_PART,
    PART_BYTES,
    flatten,
    pairs_to_dict,
    read_message,
    read_record,
    state_fields,
    to_fields,
    write_message,
)
from shared.store.redis.errors import redis_errors
from shared.store.redis.scripts import Argument, ScriptCall
from shared.store.run_reader import RunReader
from shared.store.run_values import (
    SUBMIT_REFUSALS,
    CallEnd,
    Cancelled,
    CancelOutcome,
    Claim,
    Ended,
    RunEnd,
    RunWrite,
    SteerText,
    SubmitOutcome,
    Submitted,
    WaitOutcome,
    call_end_arguments,
    read_ended,
)
from shared.store.thread_index import indexes_of

_UNCLAIMED_CHECK_MS: Final = 10_000  # by then an idle worker has long claimed a run whose job was published
# Most steering texts that wait for a run: they are taken in one script call, and Redis serves nobody else meanwhile.
_MAX_WAITING_TEXTS: Final = 100
_MAX_WAITING_BYTES: Final = 4_194_304
_CLAIMED_CHECK_MARGIN_MS: Final = 250  # how long after the end of its lease a run is checked: it can be claimed then


class RunStore(RunReader):
    """Reads and writes runs. Every method raises StoreUnavailableError when Redis does not answer."""

    def __init__(
        self, connection: StoreConnection, *, ttl_seconds: int, max_length: int, clock: SystemClock | None = None
    ) -> None:
        super().__init__(connection, ttl_seconds=ttl_seconds)
        self._max_length = max_length
        self._clock = clock or SystemClock()

    async def submit(
        self,
        run: RunRecord,
        *,
        on_busy: OnBusy,
        idempotency_key: str = "",
        steer: SteerText | None = None,
        owner: ThreadOwner = NOBODY,
    ) -> Submitted:
        """Store a run as active or queued; `owner` is the thread's. Raises ThreadNotFoundError, ThreadBusyError.

        With on_busy=steer `steer` goes to the active run instead; SteeringFullError when too much waits.
        """
        if steer is not None:
            # The run may take the text before a lost answer is requested again: then the request has to be known.
            idempotency_key = idempotency_key or run.run_id
        # The check is scheduled before the run is stored: a gateway that dies in between leaves no run unchecked.
        job = RunJob(thread_id=run.thread_id, run_id=run.run_id)
        check = ScriptCall("watch_run", [OPEN_RUNS_INDEX], [open_run_member(job), _UNCLAIMED_CHECK_MS])
        # Indexed before it is stored, too: a client that knows its id can find it. An entry without a run is harmless,
        # and a run is not refused because the server that would have only this entry is gone.
        entry = ScriptCall("index_run", [run_thread(run.run_id)], [run.thread_id, self._ttl], is_needed=False)
        submit = self._submit_call(run, on_busy, idempotency_key, steer)
        renewals = [ScriptCall("renew_index", [index], [self._ttl], is_needed=False) for index in indexes_of(owner)]
        _, _, (outcome, run_id, active), *_ = await self._connection.call_many([check, entry, submit, *renewals])
        if outcome not in (b"active", b"queued"):
            await self._remove_entry(run.run_id)
        if refusal := SUBMIT_REFUSALS.get(outcome):
            raise refusal
        result = SubmitOutcome(outcome.decode())
        if result in (SubmitOutcome.REPEATED, SubmitOutcome.STEERED, SubmitOutcome.WAITING):
            run = await self.get(run.thread_id, run_id.decode())
        return Submitted(result, run, active.decode() if result is SubmitOutcome.QUEUED else None)

    def _submit_call(
        self, run: RunRecord, on_busy: OnBusy, idempotency_key: str, steer: SteerText | None
    ) -> ScriptCall:
        keys = self._connection.keys(run.thread_id)
        return ScriptCall(
            "submit_run",
            [*keys.shared, keys.run(run.run_id)],
            [
                run.run_id, self._ttl, idempotency_key, on_busy, run.created_at, keys.run_prefix,
                write_message(steer.message) if steer else "", steer.event if steer else "",
                _MAX_WAITING_TEXTS, _MAX_WAITING_BYTES, *flatten(to_fields(run)),
            ],
        )  # fmt: skip

    async def _remove_entry(self, run_id: str) -> None:
        """Remove the index entry of a run that was not stored; if that fails, the entry expires."""
        with suppress(StoreUnavailableError), redis_errors():
            await self._connection.redis.unlink(run_thread(run_id))

    async def claim(
        self, thread_id: str, run_id: str, *, owner: str, claim_id: str, lease_seconds: float
    ) -> Claim | None:
        """Claim a run that is pending and active, or whose lease expired; None when it cannot be claimed.

        Raises UnreadableRunError for one that cannot be executed: end it with `end_unreadable`.
        """
        keys = self._connection.keys(thread_id)
        now = isoformat(self._clock.now())
        lease_ms = int(lease_seconds * 1000)
        # The check is scheduled before the claim: a run whose worker dies at once is checked when the lease is over.
        member = open_run_member(RunJob(thread_id=thread_id, run_id=run_id))
        check = ScriptCall("watch_run", [OPEN_RUNS_INDEX], [member, lease_ms + _CLAIMED_CHECK_MARGIN_MS])
        claim = ScriptCall(
            "claim_run",
            [*keys.shared, keys.run(run_id)],
            [run_id, owner, claim_id, self._ttl, now, keys.run_prefix, lease_ms],
        )
        token = claim_id  # a claim may fail before its token is known
        try:
            _, found = await self._connection.call_many([check, claim])
            if not found:
                return None
            run, thread, state = map(pairs_to_dict, found)
            token = run[b"token"].decode()
            record = read_record(RunRecord, run)
            return Claim(
                run=record,
                thread=read_record(ThreadRecord, thread),
                state=read_record(AgentState, state),
                messages=await self._conversation(record),
            )
        except UnreadableRecordError as error:
            raise UnreadableRunError(error.message, token) from error
        except LeaseLostError:
            return None

    async def _conversation(self, run: RunRecord) -> tuple[ChatMessage, ...]:
        """Read the conversation in parts, so that Redis is not blocked for long. Raises LeaseLostError."""
        keys = [*self._connection.keys(run.thread_id).shared, self._connection.keys(run.thread_id).run(run.run_id)]
        messages: list[ChatMessage] = []
        length = 1
        while len(messages) < length:
            arguments: list[Argument] = [run.token, len(messages), MESSAGES_PER_PART, PART_BYTES]
            found = await self._connection.call("read_messages", keys, arguments)
            if found is None:
                raise LeaseLostError
            length, part = found
            if not part:
                break
            messages.extend(map(read_message, part))
        return tuple(messages)

    async def append(self, run: RunRecord, write: RunWrite) -> None:
        """Write events, messages and state in one call. Raises LeaseLostError."""
        keys = self._connection.keys(run.thread_id)
        state = flatten(state_fields(write.state)) if write.state else []
        arguments: list[Argument] = [
            run.run_id, run.token, write.sequence, self._ttl, self._max_length, keys.channel,
            run.legacy_bell or "", write.usage.model_dump_json() if write.usage else "",
            int(write.supersedes_text), len(state), len(write.messages), TASK_EVENT, *state,
        ]  # fmt: skip
        arguments.extend(write_message(message) for message in write.messages)
        arguments.extend(write.events)
        if await self._connection.call("append_run", self._run_keys(run), arguments) is None:
            raise LeaseLostError

    async def take_steering(self, run: RunRecord, *, nonce: str) -> list[ChatMessage]:
        """Take the steering texts of the run, which are part of its log from now on. Raises LeaseLostError."""
        keys = self._connection.keys(run.thread_id)
        found = await self._connection.call(
            "take_steer",
            self._run_keys(run),
            [
                run.run_id,
                run.token,
                self._ttl,
                self._max_length,
                keys.channel,
                run.legacy_bell or "",
                TASK_EVENT,
                nonce,
            ],
        )
        if found is None:
            raise LeaseLostError
        return [read_message(message) for message in found]

    async def finish(self, run: RunRecord, end: RunEnd) -> Ended | None:
        """End a run that this worker owns; None when it would complete but has steering text. Raises LeaseLostError."""
        found = await self._connection.call(
            "finish_run", self._run_keys(run), [run.token, *self._end_arguments(run, end)]
        )
        if found is None:
            raise LeaseLostError
        return read_ended(found) if found else None

    async def wait(self, run: RunRecord, question: Question, event: bytes) -> WaitOutcome:
        """Let a run that this worker owns wait for a person, unless it was cancelled or has steering text.

        `event` is its interrupt. Raises LeaseLostError.
        """
        keys = self._connection.keys(run.thread_id)
        arguments: list[Argument] = [
            run.run_id, run.token, self._ttl, self._max_length, keys.channel, run.legacy_bell or "",
            question.model_dump_json(), TASK_EVENT, event,
        ]  # fmt: skip
        outcome = await self._connection.call("wait_run", self._run_keys(run), arguments)
        if outcome is None:
            raise LeaseLostError
        return WaitOutcome(outcome.decode())

    async def answer(self, thread_id: str, run_id: str, answer: Answer) -> None:
        """Store the answer of a waiting run; the caller publishes its job then.

        Raises RunNotFoundError, and RunNotWaitingError when it does not wait for this answer.
        """
        keys = self._connection.keys(thread_id)
        # The check is scheduled before the answer: a gateway that dies in between leaves no run unchecked.
        member = open_run_member(RunJob(thread_id=thread_id, run_id=run_id))
        check = ScriptCall("watch_run", [OPEN_RUNS_INDEX], [member, int(ANSWERED_CHECK_SECONDS * 1000)])
        answered = ScriptCall(
            "answer_run", [*keys.shared, keys.run(run_id)], [answer.model_dump_json(), answer.call_id, self._ttl]
        )
        _, outcome = await self._connection.call_many([check, answered])
        if outcome == b"unknown":
            raise RunNotFoundError
        if outcome != b"answered":
            raise RunNotWaitingError

    async def fail_pending(self, run: RunRecord, end: RunEnd) -> Ended | None:
        """End a run that no worker has claimed; None when one has, or it has ended."""
        found = await self._connection.call("fail_pending", self._run_keys(run), self._end_arguments(run, end))
        return read_ended(found) if found else None

    async def end_unreadable(
        self, run: RunRecord, end: RunEnd, call_end: CallEnd | None = None, *, token: str = ""
    ) -> Ended | None:
        """End a run whose records cannot be read; None when it has ended, is gone, or is another worker's.

        `token` is the token or the id of the caller's claim; without it no live lease may be held.
        """
        found = await self._connection.call(
            "end_unreadable",
            self._run_keys(run),
            [token, *self._end_arguments(run, end), *call_end_arguments(call_end)],
        )
        return read_ended(found) if found else None

    async def cancel(self, run: RunRecord, end: RunEnd, call_end: CallEnd | None = None) -> Cancelled:
        """Request a cancel; a run without a live lease is ended with `end`. Raises RunNotFoundError.

        `call_end` closes the tool calls that the lost worker left open.
        """
        outcome, completion_id, next_run_id = await self._connection.call(
            "cancel_run",
            self._run_keys(run),
            [WORKER_CHANNEL_PREFIX, *self._end_arguments(run, end), *call_end_arguments(call_end)],
        )
        if outcome == b"unknown":
            raise RunNotFoundError
        ended = read_ended((completion_id, next_run_id)) if outcome == b"cancelled" else None
        return Cancelled(CancelOutcome(outcome.decode()), ended)

    def _end_arguments(self, run: RunRecord, end: RunEnd) -> list[Argument]:
        keys = self._connection.keys(run.thread_id)
        return [
            run.run_id, self._ttl, self._max_length, keys.channel, run.legacy_bell or "", isoformat(self._clock.now()),
            keys.run_prefix, end.status, end.stop_reason, end.message, end.usage.model_dump_json(),
            TASK_EVENT, end.event,
        ]  # fmt: skip

    def _run_keys(self, run: RunRecord) -> list[str]:
        keys = self._connection.keys(run.thread_id)
        return [*keys.shared, keys.run(run.run_id), run.legacy_stream or keys.stream]
