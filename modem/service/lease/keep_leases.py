"""Renews the leases of this process's runs; a renewal also reports lost leases and cancel requests."""

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

# An attempt that lived this many leases was not crashed by its run: its crash count starts at zero again.
_LASTING_LEASES: Final = 4


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
