"""The runs that this process is executing, and how each of them is asked to stop."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from shared.contract.run import RunRecord
from workflow.journal.ports import Stop


class ActiveRun:
    """The Cancellation port of one run; the first stop reason counts."""

    def __init__(self, run: RunRecord, began_at: datetime) -> None:
        self.run = run
        self.began_at = began_at
        self.renewed_at: float | None = None  # by the monotonic clock, when its lease was last renewed
        self._stop: Stop | None = None
        self._stopped = asyncio.Event()
        self._hand_over = False

    @property
    def should_hand_over(self) -> bool:
        """Whether the run should leave this worker at its next journal point."""
        return self._hand_over

    async def wait(self) -> Stop:
        """Return once the run has to stop at once."""
        await self._stopped.wait()
        assert self._stop is not None
        return self._stop

    def stop(self, reason: Stop) -> None:
        """Stop at once."""
        self._stop = self._stop or reason
        self._stopped.set()

    def hand_over(self) -> None:
        """Stop at the next journal point."""
        self._hand_over = True


class ActiveRuns:
    """All active runs of this process. Belongs to the event loop."""

    def __init__(self) -> None:
        self._runs: dict[str, ActiveRun] = {}
        self._empty = asyncio.Event()
        self._empty.set()
        self.is_draining = False

    def __iter__(self) -> Iterator[ActiveRun]:
        return iter(tuple(self._runs.values()))

    def __len__(self) -> int:
        return len(self._runs)

    def find(self, run_id: str) -> ActiveRun | None:
        """Return the run of this id, if this process executes it."""
        return self._runs.get(run_id)

    @contextmanager
    def enter(self, run: RunRecord, began_at: datetime) -> Iterator[ActiveRun]:
        """Count a run as active inside the block."""
        active = ActiveRun(run, began_at)
        earlier = self._runs.get(run.run_id)
        if earlier is not None:
            earlier.stop(Stop.LEASE_LOST)  # an earlier attempt in this process, whose lease expired
        self._runs[run.run_id] = active
        self._empty.clear()
        if self.is_draining:
            active.hand_over()
        try:
            yield active
        finally:
            if self._runs.get(run.run_id) is active:
                del self._runs[run.run_id]
            if not self._runs:
                self._empty.set()

    async def drain(self, timeout_seconds: float) -> None:
        """Hand over every run at its next journal point, stop the rest after `timeout_seconds`, and wait for all."""
        self.is_draining = True
        for active in self:
            active.hand_over()
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._empty.wait()
        except TimeoutError:
            for active in self:
                active.stop(Stop.HAND_OVER)
            await self._empty.wait()
