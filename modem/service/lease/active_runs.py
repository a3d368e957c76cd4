"""The runs that this process is executing: how each is asked to stop, and how all keep their leases.

A renewal also reports lost leases and cancel requests.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final

from shared.clock import SystemClock
from shared.config import ModemConfig
from shared.contract.run import RunRecord
from shared.errors import StoreUnavailableError
from shared.store.leases import LeaseStore, RenewalOutcome
from workflow.journal.ports import Stop

_log = logging.getLogger(__name__)

# An attempt that lived this many leases was not crashed by its run: its crash count starts at zero again.
_LASTING_LEASES: Final = 4


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


class LeaseKeeper:
    """Renews all leases together every `renew_seconds`, and at once on request."""

    def __init__(self, leases: LeaseStore, active: ActiveRuns, config: ModemConfig, clock: SystemClock) -> None:
        self._leases = leases
        self._active = active
        self._config = config
        self._clock = clock

    async def run(self) -> None:
        """Renew until cancelled."""
        while True:
            await asyncio.sleep(self._config.renew_seconds)
            await self.renew(list(self._active))

    async def renew(self, runs: list[ActiveRun]) -> None:
        """Renew these leases; stop runs whose lease may have expired, since another worker may own them."""
        asked_at = self._clock.monotonic()
        try:
            outcomes = await self._leases.renew(
                [each.run for each in runs], lease_seconds=self._config.lease_seconds, lasted=self._lasted(runs)
            )
        except StoreUnavailableError:
            self._stop_outlived(runs)
            return
        for each, outcome in zip(runs, outcomes, strict=True):
            if outcome is RenewalOutcome.UNKNOWN:
                self._stop_outlived([each])
                continue
            # Two renewals may overlap; the one that started earlier must not move `renewed_at` back.
            each.renewed_at = max(asked_at, each.renewed_at or asked_at)
            if outcome is RenewalOutcome.LOST:
                _log.warning("lease of run %s was lost: stopping the run", each.run.run_id)
                each.stop(Stop.LEASE_LOST)
            elif outcome is RenewalOutcome.CANCEL_ASKED:
                each.stop(Stop.CANCELLED)

    def _stop_outlived(self, runs: list[ActiveRun]) -> None:
        now = self._clock.monotonic()
        for each in runs:
            claimed_at = now - (self._clock.now() - each.began_at).total_seconds()
            if now - (each.renewed_at or claimed_at) > self._config.lease_seconds:
                _log.warning("lease of run %s could not be renewed in time: stopping the run", each.run.run_id)
                each.stop(Stop.LEASE_LOST)

    def _lasted(self, runs: list[ActiveRun]) -> frozenset[str]:
        enough = timedelta(seconds=_LASTING_LEASES * self._config.lease_seconds)
        now = self._clock.now()
        return frozenset(each.run.run_id for each in runs if now - each.began_at > enough)
