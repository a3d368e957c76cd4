"""Any interleaving of what gateways and workers do to a thread leaves it consistent."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from redis import Redis

from shared.contract.api import OnBusy
from shared.contract.run import RunRecord, RunStatus
from shared.errors import LeaseLostError, ThreadBusyError
from shared.store.run_values import RunWrite, SubmitOutcome
from tests.integration.store_scene import StoreScene, end_of, event_of, open_store

KINDS = st.sampled_from(["assistant_delta", "assistant_response", "tool_ls"])


def without_text(written: list[tuple[str, bytes]], run_id: str) -> list[tuple[str, bytes]]:
    """Return a log as it is once the message of a run's text is written."""
    return [entry for entry in written if entry[0] != run_id or b"assistant_delta" not in entry[1]]


@dataclass
class Known:
    """What must be true of one run; `claims` are records as workers got them, the last the owner's."""

    status: RunStatus = RunStatus.PENDING
    claim: RunRecord | None = None
    sequence: int = 0


class StoreMachine(RuleBasedStateMachine):
    """A model of one thread beside the real one."""

    url: ClassVar[str]
    run_ids: Bundle[str] = Bundle("run_ids")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.known: dict[str, Known] = {}
        self.active: str | None = None
        self.inbox: list[str] = []
        self.keys: dict[str, str] = {}
        self.written: list[tuple[str, bytes]] = []
        self.store: StoreScene

    @initialize()
    def open(self) -> None:
        with Redis.from_url(self.url) as redis:
            redis.flushdb()
        self.store = self.loop.run(self.stack.enter_async_context(open_store(self.url)))

    def teardown(self) -> None:
        self.loop.run(self.stack.aclose())
        self.loop.close()

    @rule(target=run_ids, on_busy=st.sampled_from([OnBusy.QUEUE, OnBusy.REJECT]), key=st.sampled_from(["", "k", "l"]))
    def submit(self, on_busy: OnBusy, key: str) -> str:
        run_id = f"r{len(self.known)}"
        submission = self.store.runs.submit(self.store.run(run_id), on_busy=on_busy, idempotency_key=key)
        try:
            submitted = self.loop.run(submission)
        except ThreadBusyError:
            assert on_busy is OnBusy.REJECT
            assert self.active is not None
            return self.active
        if key in self.keys:
            assert (submitted.outcome, submitted.run.run_id) == (SubmitOutcome.REPEATED, self.keys[key])
            return submitted.run.run_id
        assert submitted.outcome is (SubmitOutcome.QUEUED if self.active else SubmitOutcome.ACTIVE)
        self.known[run_id] = Known()
        if key:
            self.keys[key] = run_id
        if self.active:
            self.inbox.append(run_id)
        else:
            self.active = run_id
        return run_id

    @rule(run_id=run_ids, owner=st.sampled_from(["w1", "w2"]))
    def claim(self, run_id: str, owner: str) -> None:
        claim_id = f"{owner}-{run_id}"
        claim = self.loop.run(self.store.runs.claim("t", run_id, owner=owner, claim_id=claim_id, lease_seconds=60))
        known = self.known[run_id]
        if known.status is RunStatus.PENDING and run_id == self.active:
            assert claim is not None
            known.status, known.claim = RunStatus.PROCESSING, claim.run
        elif claim is not None:  # the same message of the same worker again
            assert known.claim is not None
            assert (claim.run.owner, claim.run.token) == (known.claim.owner, known.claim.token)

    @rule(run_id=run_ids, is_new=st.booleans(), is_owner=st.booleans(), kind=KINDS)
    def append(self, run_id: str, is_new: bool, is_owner: bool, kind: str) -> None:
        known = self.known[run_id]
        run = known.claim or self.store.run(run_id)
        run = run if is_owner else run.model_copy(update={"token": run.token + 1})
        sequence = known.sequence + is_new
        data, is_message = event_of(kind, f'["{run_id}",{sequence}]'), kind == "assistant_response"
        is_allowed = known.status is RunStatus.PROCESSING and is_owner
        try:
            self.loop.run(self.store.runs.append(run, RunWrite(sequence, events=[data], supersedes_text=is_message)))
        except LeaseLostError:
            assert not is_allowed
            return
        assert is_allowed
        if is_new:
            known.sequence = sequence
            self.written = without_text(self.written, run_id) if is_message else self.written
            self.written.append((run_id, data))

    @rule(run_id=run_ids)
    def finish(self, run_id: str) -> None:
        known = self.known[run_id]
        try:
            ended = self.loop.run(self.store.runs.finish(known.claim or self.store.run(run_id), end_of(run_id)))
        except LeaseLostError:
            assert known.claim is None
            return
        assert ended is not None
        assert known.status.is_terminal or known.claim is not None
        if known.status is RunStatus.PROCESSING:
            self._end(run_id, RunStatus.COMPLETED, ended.next_run_id)

    @rule(run_id=run_ids)
    def fail_pending(self, run_id: str) -> None:
        known = self.known[run_id]
        end = end_of(run_id, RunStatus.FAILED)
        ended = self.loop.run(self.store.runs.fail_pending(self.store.run(run_id), end))
        assert (ended is None) == (known.claim is not None)
        if ended is not None and known.status is RunStatus.PENDING:
            self.keys = {key: kept for key, kept in self.keys.items() if kept != run_id}
            self._end(run_id, RunStatus.FAILED, ended.next_run_id)

    def _end(self, run_id: str, status: RunStatus, next_run_id: str | None) -> None:
        self.known[run_id].status = status
        self.written.append((run_id, f"end of {run_id}".encode()))
        if run_id == self.active:
            self.active = self.inbox.pop(0) if self.inbox else None
            assert next_run_id == self.active
        else:
            self.inbox.remove(run_id)

    @invariant()
    def records_say_what_happened(self) -> None:
        runs = self.loop.run(self.store.runs.newest("t", start=0, limit=1000)).runs
        assert {run.run_id: run.status for run in runs} == {name: run.status for name, run in self.known.items()}
        assert len(runs) == len(self.known)
        assert self.loop.run(self.store.threads.active_run("t")) == self.active
        inbox = self.loop.run(self.store.redis.lrange(self.store.keys.inbox, 0, -1))
        assert [run_id.decode() for run_id in inbox] == self.inbox
        processing = [run.run_id for run in runs if run.status is RunStatus.PROCESSING]
        assert processing in ([], [self.active]), "at most one run is executed at a time"

    @invariant()
    def the_stream_has_one_end_of_each_run(self) -> None:
        entries = self.loop.run(self.store.events.page(self.store.keys.stream, after="0-0", limit=1000))
        assert [(entry.run_id, entry.data) for entry in entries] == self.written
        for run_id, known in self.known.items():
            finals = [entry.is_final for entry in entries if entry.run_id == run_id]
            assert finals.count(True) == known.status.is_terminal
            assert not known.status.is_terminal or finals[-1]

    @invariant()
    def everything_expires(self) -> None:
        assert all(seconds > 0 for seconds in self.loop.run(self.store.lifetimes()).values())


def test_a_thread_stays_consistent_under_any_interleaving(redis_url: str) -> None:
    class Machine(StoreMachine):
        url = redis_url

    modest = settings(max_examples=30, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(Machine, settings=modest)
