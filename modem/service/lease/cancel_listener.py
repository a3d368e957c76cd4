"""Renews the leases at once when this worker is notified, so that a cancel does not wait for the next renewal."""

import asyncio

from modem.service.lease.active_runs import ActiveRuns, LeaseKeeper
from shared.store.redis.notifications import ListenerTimings, NotificationListener, NotificationSource

_FALLBACK = "cancels are found at the next lease renewal"


class CancelListener:
    """Two tasks of a worker, `listen` and `renew`; lease renewals find the cancels that are missed meanwhile."""

    def __init__(
        self,
        notifications: NotificationSource,
        channel: str,
        keeper: LeaseKeeper,
        active: ActiveRuns,
        *,
        timings: ListenerTimings | None = None,
    ) -> None:
        self._keeper = keeper
        self._active = active
        self._notified = asyncio.Event()
        self._listener = NotificationListener(
            notifications,
            timings or ListenerTimings(),
            wanted={channel},
            notify=lambda _: self._notified.set(),
            fallback=_FALLBACK,
        )

    async def listen(self) -> None:
        """Keep the subscription open until cancelled."""
        await self._listener.run()

    async def renew(self) -> None:
        """Renew the leases after each notification, until cancelled."""
        while True:
            await self._notified.wait()
            self._notified.clear()
            await self._keeper.renew(list(self._active))
