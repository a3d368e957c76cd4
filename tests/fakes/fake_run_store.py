"""FakeRunStore, FakePublisher and FakeCanceller: what accepts a task at the gateway."""

from dataclasses import dataclass, field

from shared.contract.api import InputRequest, OnBusy
from shared.contract.run import RunJob, RunRecord, RunStatus
from shared.contract.thread import NOBODY, ThreadOwner
from shared.errors import BrokerUnavailableError, RunNotFoundError
from shared.store.run_values import Ended, RunEnd, SteerText, SubmitOutcome, Submitted


@dataclass
class FakeRunStore:
    """One thread's runs; the first is active, later ones queue. `steering` are the texts for the active run."""

    claimed: set[str] = field(default_factory=set)
    runs: dict[str, RunRecord] = field(default_factory=dict)
    inbox: list[str] = field(default_factory=list)
    ends: list[tuple[str, RunEnd]] = field(default_factory=list)
    steering: list[SteerText] = field(default_factory=list)
    active: str | None = None
    keys: dict[str, str] = field(default_factory=dict)

    async def submit(
        self,
        run: RunRecord,
        *,
        on_busy: OnBusy,
        idempotency_key: str = "",
        steer: SteerText | None = None,
        owner: ThreadOwner = NOBODY,
    ) -> Submitted:
        if steer is not None:
            idempotency_key = idempotency_key or run.run_id
        if idempotency_key in self.keys:
            return Submitted(SubmitOutcome.REPEATED, self.runs[self.keys[idempotency_key]])
        is_steered = steer is not None and self.active is not None
        if idempotency_key:
            self.keys[idempotency_key] = self.active if is_steered and self.active else run.run_id
        if steer is not None and self.active is not None:
            self.steering.append(steer)
            return Submitted(SubmitOutcome.STEERED, self.runs[self.active])
        self.runs[run.run_id] = run
        if self.active is not None:
            self.inbox.insert(0 if on_busy is OnBusy.INTERRUPT else len(self.inbox), run.run_id)
            return Submitted(SubmitOutcome.QUEUED, run, self.active)
        self.active = run.run_id
        return Submitted(SubmitOutcome.ACTIVE, run)

    async def get(self, thread_id: str, run_id: str) -> RunRecord:
        if run_id not in self.runs:
            raise RunNotFoundError
        return self.runs[run_id]

    async def fail_pending(self, run: RunRecord, end: RunEnd) -> Ended | None:
        if run.run_id in self.claimed:
            return None
        self.ends.append((run.run_id, end))
        self.active = self.inbox.pop(0) if self.inbox else None
        return Ended("1-0", self.active)

    async def active_run(self, thread_id: str) -> str | None:
        return self.active


@dataclass
class FakePublisher:
    """Takes jobs, after failing `failures` times."""

    failures: int = 0
    jobs: list[RunJob] = field(default_factory=list)

    async def publish(self, job: RunJob) -> None:
        if self.failures > 0:
            self.failures -= 1
            raise BrokerUnavailableError
        self.jobs.append(job)


@dataclass
class FakeCanceller:
    """Notes which runs it was asked to cancel."""

    cancelled: list[str] = field(default_factory=list)

    async def cancel(self, thread_id: str, run_id: str) -> RunStatus:
        self.cancelled.append(run_id)
        return RunStatus.PROCESSING


@dataclass
class FakeAnswering:
    """Takes answers to runs that wait."""

    answers: list[tuple[str, InputRequest]] = field(default_factory=list)

    async def answer(self, thread_id: str, run_id: str, request: InputRequest) -> RunStatus:
        self.answers.append((run_id, request))
        return RunStatus.PROCESSING
