"""Keeps the leases of this process's runs, and learns on the way that a run is lost or shall stop."""

import asyncio
import logging
from datetime import timedelta
from typing import Final

from modem.service.lease.active_runs import ActiveRun, ActiveRuns
from shared.clock import SystemClock
from shared.config import ModemConfig
from shared.errors import StoreUnavailableError
from shared.store.leases import LeaseStore, RenewalOutcome
from workflow.journal.ports import Stop

_log = logging.getLogger(__name__)

# An attempt that lived through so many leases did not die of its run; crashes are counted anew.
_LASTING_LEASES: Final = 4


class LeaseKeeper:
    """Renews all leases together every `renew_seconds`, and at once when it is asked to."""

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
        """Renew these leases; a run whose lease cannot have held is stopped, since another may own it."""
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
            # Two renewals may be under way; what the earlier one found out must not make the lease older.
            each.renewed_at = max(asked_at, each.renewed_at or asked_at)
            if outcome is RenewalOutcome.LOST:
                _log.warning("run %s is no longer this worker's", each.run.run_id)
                each.stop(Stop.LEASE_LOST)
            elif outcome is RenewalOutcome.CANCEL_ASKED:
                each.stop(Stop.CANCELLED)

    def _stop_outlived(self, runs: list[ActiveRun]) -> None:
        now = self._clock.monotonic()
        for each in runs:
            claimed_at = now - (self._clock.now() - each.began_at).total_seconds()
            if now - (each.renewed_at or claimed_at) > self._config.lease_seconds:
                _log.warning("run %s is stopped: its lease could not be renewed in time", each.run.run_id)
                each.stop(Stop.LEASE_LOST)

    def _lasted(self, runs: list[ActiveRun]) -> frozenset[str]:
        enough = timedelta(seconds=_LASTING_LEASES * self._config.lease_seconds)
        now = self._clock.now()
        return frozenset(each.run.run_id for each in runs if now - each.began_at > enough)
