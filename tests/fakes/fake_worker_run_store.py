"""FakeWorkerRunStore: the RunStore as a worker uses it, in memory; writes can be delayed or fail."""

import asyncio
from collections.abc import Callable, Sequence

from shared.contract.api import OnBusy
from shared.contract.message import ChatMessage
from shared.contract.run import Answer, Question, RunRecord, RunStatus
from shared.contract.thread import NOBODY, ThreadOwner
from shared.store.run_values import Claim, Ended, RunEnd, RunWrite, SteerText, SubmitOutcome, Submitted, WaitOutcome
from shared.store.runs import RunStore


class FakeWorkerRunStore(RunStore):
    """One run that can be claimed once. `writes` are the arguments of append, `ends` those of finish and fail_pending.

    `failures` are raised by the next appends, one each (None lets one through); `gate` holds appends
    back until it is set, `asked` is set when one arrives. `steering` holds steering messages; while there are any, the
    run cannot complete.
    """

    def __init__(self, claim: Claim | None = None, *, next_run_id: str | None = None) -> None:
        self.claims = [claim]
        self.claim_failures: list[Exception | Callable[[], Exception]] = []
        self.failures: list[Exception | None] = []
        self.writes: list[RunWrite] = []
        self.ends: list[RunEnd] = []
        self.steering: list[ChatMessage] = []
        self.nonces: list[str] = []
        self.steer_failures: list[Exception] = []
        self.claimed_by: list[str] = []
        self.claim_ids: list[str] = []
        self.gate: asyncio.Event | None = None
        self.asked = asyncio.Event()
        self.wait_outcomes: list[WaitOutcome] = []
        self.questions: list[tuple[Question, bytes]] = []
        self.answers: list[Answer] = []
        self.answer_failure: Exception | None = None
        self._changed = asyncio.Condition()
        self._next_run_id = next_run_id

    @property
    def data(self) -> Sequence[bytes]:
        """Every event that was written, in order."""
        return [event for write in self.writes for event in write.events]

    async def wrote(self, count: int) -> None:
        """Return once there are so many writes."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.writes) >= count)

    async def claim(
        self, thread_id: str, run_id: str, *, owner: str, claim_id: str, lease_seconds: float
    ) -> Claim | None:
        self.claimed_by.append(owner)
        self.claim_ids.append(claim_id)
        if self.claim_failures:
            failure = self.claim_failures.pop(0)
            raise failure if isinstance(failure, Exception) else failure()
        return self.claims.pop() if self.claims else None

    async def submit(
        self,
        run: RunRecord,
        *,
        on_busy: OnBusy,
        idempotency_key: str = "",
        steer: SteerText | None = None,
        owner: ThreadOwner = NOBODY,
    ) -> Submitted:
        return Submitted(SubmitOutcome.ACTIVE, run)

    async def wait(self, run: RunRecord, question: Question, event: bytes) -> WaitOutcome:
        self.questions.append((question, event))
        return self.wait_outcomes.pop(0) if self.wait_outcomes else WaitOutcome.WAITING

    async def answer(self, thread_id: str, run_id: str, answer: Answer) -> None:
        if self.answer_failure is not None:
            raise self.answer_failure
        self.answers.append(answer)

    async def append(self, run: RunRecord, write: RunWrite) -> None:
        self.asked.set()
        if self.gate is not None:
            await self.gate.wait()
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        self.writes.append(write)
        async with self._changed:
            self._changed.notify_all()

    async def take_steering(self, run: RunRecord, *, nonce: str) -> list[ChatMessage]:
        self.nonces.append(nonce)
        if self.steer_failures:
            raise self.steer_failures.pop(0)
        taken, self.steering = self.steering, []
        return taken

    async def finish(self, run: RunRecord, end: RunEnd) -> Ended | None:
        if self.steering and end.status is RunStatus.COMPLETED:
            return None
        self.ends.append(end)
        return Ended("1-1", self._next_run_id)

    async def fail_pending(self, run: RunRecord, end: RunEnd) -> Ended | None:
        return await self.finish(run, end)
