"""FakeLeaseStore: the LeaseStore in memory; a test sets the outcomes of renewals and the open runs."""

import asyncio
from collections.abc import Callable, Sequence

from shared.contract.run import RunJob, RunRecord
from shared.store.leases import UNREACHABLE, LeaseStore, OpenRun, RenewalOutcome, Unreachable


class Gate:
    """Holds a call until it is released."""

    def __init__(self) -> None:
        self._reached = asyncio.Event()
        self._open = asyncio.Event()

    async def reached(self) -> None:
        """Return once a call waits here."""
        await asyncio.wait_for(self._reached.wait(), 5)

    def release(self) -> None:
        """Let the call continue."""
        self._open.set()

    async def hold(self) -> None:
        self._reached.set()
        await self._open.wait()


class FakeLeaseStore(LeaseStore):
    """`due` is taken in order; `open_runs` is what inspect finds, by run id, unless the id is in `unreachable`.

    `outcomes` are the renewal outcomes (HELD by default); while `failure` is set every call raises it. `checks` are
    the scheduled ones.
    """

    def __init__(self) -> None:
        self._called = asyncio.Condition()
        self.outcomes: dict[str, RenewalOutcome] = {}
        self.failure: Exception | None = None
        self.renewed: list[tuple[str, ...]] = []
        self.lasted: list[frozenset[str]] = []
        self.released: list[str] = []
        self.is_owner = True
        self.due: list[RunJob] = []
        self.holds: list[float] = []
        self.pings = 0
        self.open_runs: dict[str, OpenRun] = {}
        self.unreachable: set[str] = set()
        self.checks: list[tuple[str, float]] = []
        self.forgotten: list[str] = []
        self._gate: Gate | None = None

    def hold_next(self) -> Gate:
        """Hold the next renewal until the gate is released."""
        self._gate = Gate()
        return self._gate

    async def renew(
        self, runs: Sequence[RunRecord], *, lease_seconds: float, lasted: frozenset[str] = frozenset()
    ) -> list[RenewalOutcome]:
        await self._count_call()
        if (gate := self._gate) is not None:
            self._gate = None
            await gate.hold()
        self.renewed.append(tuple(run.run_id for run in runs))
        self.lasted.append(lasted)
        return [self.outcomes.get(run.run_id, RenewalOutcome.HELD) for run in runs]

    async def release(self, run: RunRecord) -> bool:
        await self._count_call()
        self.released.append(run.run_id)
        return self.is_owner

    async def ping(self) -> None:
        await self._count_call()
        self.pings += 1

    async def schedule_check(self, job: RunJob, *, due_in_seconds: float) -> None:
        await self._count_call()
        self.checks.append((job.run_id, due_in_seconds))

    async def forget(self, job: RunJob) -> None:
        await self._count_call()
        self.forgotten.append(job.run_id)

    async def take_due(self, *, limit: int, hold_seconds: float) -> list[RunJob]:
        await self._count_call()
        self.holds.append(hold_seconds)
        taken, self.due = self.due[:limit], self.due[limit:]
        return taken

    async def inspect(self, jobs: Sequence[RunJob]) -> list[OpenRun | Unreachable | None]:
        await self._count_call()
        return [UNREACHABLE if job.run_id in self.unreachable else self.open_runs.get(job.run_id) for job in jobs]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once the condition holds; it is checked at every call."""
        async with asyncio.timeout(5), self._called:
            await self._called.wait_for(condition)

    async def _count_call(self) -> None:
        async with self._called:
            self._called.notify_all()
        if self.failure is not None:
            raise self.failure
