"""Hears when this worker's runs have to be looked at, so that a cancel does not wait for the next renewal."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from modem.service.lease.active_runs import ActiveRuns
from modem.service.lease.keep_leases import LeaseKeeper
from shared.errors import StoreUnavailableError
from shared.store.notifications import Notifications, Subscription

_log = logging.getLogger(__name__)
_RECONNECT_SECONDS: Final = 0.5
# A connection that was silent for so long may be to a master that has gone without a word: it is asked.
_SILENCE_SECONDS: Final = 15.0


async def listen_for_cancels(
    channels: Notifications,
    channel: str,
    keeper: LeaseKeeper,
    active: ActiveRuns,
    *,
    silence_seconds: float = _SILENCE_SECONDS,
) -> None:
    """Listen until cancelled; a lost connection is opened again, and renewals see what was missed.

    One that is silent is asked for a sign of life, and given up when it gives none for as long again.
    """
    while True:
        try:
            async with channels.open() as subscription:
                await subscription.watch([channel])
                while True:
                    if channel in await _next(subscription, silence_seconds):
                        await keeper.renew(list(active))
        except TimeoutError:
            _log.warning("the connection for cancel notifications no longer answers; it is opened anew")
            continue
        except StoreUnavailableError:
            _log.warning("this worker's bell is not heard; renewals look after its runs meanwhile")
        await asyncio.sleep(_RECONNECT_SECONDS)


async def _next(subscription: Subscription, silence_seconds: float) -> Sequence[str]:
    """Return what is heard next. Raises TimeoutError when the connection is dead."""
    try:
        async with asyncio.timeout(silence_seconds):
            return await subscription.received()
    except TimeoutError:
        await subscription.ping()
    async with asyncio.timeout(silence_seconds):
        return await subscription.received()
