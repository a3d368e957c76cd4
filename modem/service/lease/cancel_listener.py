"""Renews the leases at once when this worker is notified, so that a cancel does not wait for the next renewal."""

import asyncio

from modem.service.lease.active_runs import ActiveRuns, LeaseKeeper
from shared.store.notification_listener import ListenerTimings, NotificationListener, NotificationSource

_FALLBACK = "cancels are found at the next lease renewal"


async def listen_for_cancels(
    notifications: NotificationSource,
    channel: str,
    keeper: LeaseKeeper,
    active: ActiveRuns,
    *,
    timings: ListenerTimings | None = None,
) -> None:
    """Listen until cancelled; lease renewals find the cancels that are missed while the connection is lost."""
    notified = asyncio.Event()
    listener = NotificationListener(
        notifications,
        timings or ListenerTimings(),
        wanted={channel},
        notify=lambda _: notified.set(),
        fallback=_FALLBACK,
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(listener.run())
        while True:
            await notified.wait()
            notified.clear()
            await keeper.renew(list(active))
