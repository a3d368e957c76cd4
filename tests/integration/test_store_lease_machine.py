"""Any interleaving of workers, old and new, reapers and cancels leaves a thread consistent and its runs ended once."""

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
from shared.errors import LeaseLostError
from shared.ids import new_id
from shared.store.leases import RenewalOutcome
from shared.store.run_values import CancelOutcome, RunWrite, SubmitOutcome
from tests.integration.store_scene import StoreScene, end_of, event_of, open_store
from tests.integration.test_store_machine import without_text

KINDS = st.sampled_from(["assistant_delta", "assistant_delta", "assistant_response", "status", "tool_ls"])
LEASE_SECONDS = 3600.0  # no lease expires by itself: the state machine expires it


@dataclass
class Known:
    """What must be true of one run."""

    status: RunStatus = RunStatus.PENDING
    token: int = 0
    is_held: bool = False
    is_released: bool = False
    is_cancel_asked: bool = False
    sequence: int = 0
    crashes: int = 0
    attempts: int = 0


class LeaseMachine(RuleBasedStateMachine):
    """A model of one thread beside the real one; `claims` are records as workers got them, old ones among them."""

    url: ClassVar[str]
    run_ids: Bundle[str] = Bundle("run_ids")
    claims: Bundle[RunRecord | None] = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.known: dict[str, Known] = {}
        self.active: str | None = None
        self.inbox: list[str] = []
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

    @rule(target=run_ids)
    def submit(self) -> str:
        run_id = f"r{len(self.known)}"
        submitted = self.loop.run(self.store.runs.submit(self.store.run(run_id), on_busy=OnBusy.QUEUE))
        assert submitted.outcome is (SubmitOutcome.QUEUED if self.active else SubmitOutcome.ACTIVE)
        self.known[run_id] = Known()
        if self.active:
            self.inbox.append(run_id)
        else:
            self.active = run_id
        return run_id

    @rule(target=claims, run_id=run_ids, owner=st.sampled_from(["w1", "w2", "w3"]))
    def claim(self, run_id: str, owner: str) -> RunRecord | None:
        known = self.known[run_id]
        found = self.loop.run(
            self.store.runs.claim("t", run_id, owner=owner, claim_id=new_id(), lease_seconds=LEASE_SECONDS)
        )
        is_new = known.status is RunStatus.PENDING and run_id == self.active
        is_left = known.status is RunStatus.PROCESSING and not known.is_held
        assert (found is not None) == (is_new or is_left)
        if found is None:
            return None
        known.crashes += is_left and not known.is_released
        known.attempts += 1
        assert found.run.token > known.token
        assert (found.run.attempts, found.run.crashes) == (known.attempts, known.crashes)
        assert bool(found.run.cancel_requested_at) == known.is_cancel_asked
        known.status, known.token, known.sequence = RunStatus.PROCESSING, found.run.token, 0
        known.is_held, known.is_released = True, False
        return found.run

    @rule(run_id=run_ids)
    def expire(self, run_id: str) -> None:
        if self.known[run_id].status is RunStatus.PROCESSING:
            self.loop.run(self.store.redis.hset(self.store.keys.run(run_id), "lease_until", 0))
            self.known[run_id].is_held = False

    @rule(claim=claims, lasted=st.booleans())
    def renew(self, claim: RunRecord | None, lasted: bool) -> None:
        if claim is None:
            return
        known = self.known[claim.run_id]
        names = frozenset({claim.run_id} if lasted else set())
        (outcome,) = self.loop.run(self.store.leases.renew([claim], lease_seconds=LEASE_SECONDS, lasted=names))
        if not self._is_owner(claim) or known.is_released:
            assert outcome is RenewalOutcome.LOST
            return
        assert outcome is (RenewalOutcome.CANCEL_ASKED if known.is_cancel_asked else RenewalOutcome.HELD)
        known.is_held = True
        known.crashes = 0 if lasted else known.crashes

    @rule(claim=claims)
    def release(self, claim: RunRecord | None) -> None:
        if claim is None:
            return
        released = self.loop.run(self.store.leases.release(claim))
        assert released == self._is_owner(claim)
        if released:
            self.known[claim.run_id].is_held = False
            self.known[claim.run_id].is_released = True

    @rule(claim=claims, is_new=st.booleans(), kind=KINDS)
    def append(self, claim: RunRecord | None, is_new: bool, kind: str) -> None:
        if claim is None:
            return
        known = self.known[claim.run_id]
        sequence = known.sequence + is_new
        data = event_of(kind, f'["{claim.run_id}",{claim.token},{sequence}]')
        supersedes = kind in ("assistant_response", "status")
        try:
            self.loop.run(self.store.runs.append(claim, RunWrite(sequence, events=[data], supersedes_text=supersedes)))
        except LeaseLostError:
            assert not self._is_owner(claim)
            return
        assert self._is_owner(claim)
        if is_new:
            known.sequence = sequence
            self.written = without_text(self.written, claim.run_id) if supersedes else self.written
            self.written.append((claim.run_id, data))

    @rule(claim=claims)
    def finish(self, claim: RunRecord | None) -> None:
        if claim is None:
            return
        known = self.known[claim.run_id]
        has_ended_it = known.status is RunStatus.COMPLETED and claim.token == known.token
        is_owner = self._is_owner(claim)
        try:
            ended = self.loop.run(self.store.runs.finish(claim, end_of(claim.run_id)))
        except LeaseLostError:
            assert not is_owner
            assert not has_ended_it
            return
        assert ended is not None
        assert is_owner or has_ended_it
        if is_owner:
            self._end(claim.run_id, RunStatus.COMPLETED, ended.next_run_id)

    @rule(run_id=run_ids)
    def cancel(self, run_id: str) -> None:
        known = self.known[run_id]
        end = end_of(run_id, RunStatus.CANCELLED)
        cancelled = self.loop.run(self.store.runs.cancel(self.store.run(run_id), end))
        if known.status.is_terminal:
            was_cancelled = known.status is RunStatus.CANCELLED
            assert cancelled.outcome is (CancelOutcome.CANCELLED if was_cancelled else CancelOutcome.ENDED)
        elif known.is_held:
            assert cancelled.outcome is CancelOutcome.ASKED
            known.is_cancel_asked = True
        else:
            assert cancelled.outcome is CancelOutcome.CANCELLED
            assert cancelled.ended is not None
            known.token += 1
            self._end(run_id, RunStatus.CANCELLED, cancelled.ended.next_run_id)

    def _is_owner(self, claim: RunRecord) -> bool:
        known = self.known[claim.run_id]
        return known.status is RunStatus.PROCESSING and claim.token == known.token

    def _end(self, run_id: str, status: RunStatus, next_run_id: str | None) -> None:
        self.known[run_id].status = status
        self.known[run_id].is_held = False
        self.written.append((run_id, f"end of {run_id}".encode()))
        if run_id == self.active:
            self.active = self.inbox.pop(0) if self.inbox else None
            assert next_run_id == self.active
        else:
            assert next_run_id is None
            self.inbox.remove(run_id)

    @invariant()
    def records_say_what_happened(self) -> None:
        runs = self.loop.run(self.store.runs.newest("t", start=0, limit=1000)).runs
        assert {run.run_id: (run.status, run.token) for run in runs} == {
            name: (run.status, run.token) for name, run in self.known.items()
        }
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


def test_a_thread_stays_consistent_whoever_owns_its_runs(redis_url: str) -> None:
    class Machine(LeaseMachine):
        url = redis_url

    modest = settings(max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(Machine, settings=modest)
