"""Subscribes to this worker's notifications, so that a cancel does not wait for the next lease renewal."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from modem.service.lease.active_runs import ActiveRuns, LeaseKeeper
from shared.errors import StoreUnavailableError
from shared.store.notifications import Notifications, Subscription

_log = logging.getLogger(__name__)
_RECONNECT_SECONDS: Final = 0.5
# After this long without a notification the connection is pinged: its server may have died without closing it.
_SILENCE_SECONDS: Final = 15.0


async def listen_for_cancels(
    channels: Notifications,
    channel: str,
    keeper: LeaseKeeper,
    active: ActiveRuns,
    *,
    silence_seconds: float = _SILENCE_SECONDS,
) -> None:
    """Listen until cancelled; a lost connection is reopened, and lease renewals find missed cancels.

    A silent connection is pinged, and reopened when no reply comes within `silence_seconds`.
    """
    while True:
        try:
            async with channels.open() as subscription:
                await subscription.watch([channel])
                while True:
                    if channel in await _next(subscription, silence_seconds):
                        await keeper.renew(list(active))
        except TimeoutError:
            _log.warning("Redis pub/sub connection for cancel notifications does not answer; reopening it")
            continue
        except StoreUnavailableError:
            _log.warning("Redis pub/sub lost; cancels are found at the next lease renewal")
        await asyncio.sleep(_RECONNECT_SECONDS)


async def _next(subscription: Subscription, silence_seconds: float) -> Sequence[str]:
    """Return the channels notified next. Raises TimeoutError when the connection is dead."""
    try:
        async with asyncio.timeout(silence_seconds):
            return await subscription.received()
    except TimeoutError:
        await subscription.ping()
    async with asyncio.timeout(silence_seconds):
        return await subscription.received()
