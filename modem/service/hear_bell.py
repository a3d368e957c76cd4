"""Hears when this worker's runs have to be looked at, so that a cancel does not wait for the next renewal."""

import asyncio
import logging
from typing import Final

from modem.service.active_runs import ActiveRuns
from modem.service.keep_leases import LeaseKeeper
from shared.errors import StoreUnavailableError
from shared.store.bells import Bells

_log = logging.getLogger(__name__)
_RECONNECT_SECONDS: Final = 0.5


async def hear_bell(bells: Bells, bell: str, keeper: LeaseKeeper, active: ActiveRuns) -> None:
    """Listen until cancelled; a lost connection is opened again, and renewals see what was missed."""
    while True:
        try:
            async with bells.open() as line:
                await line.watch([bell])
                while True:
                    if bell in await line.heard():
                        await keeper.renew(list(active))
        except StoreUnavailableError:
            _log.warning("this worker's bell is not heard; renewals look after its runs meanwhile")
        await asyncio.sleep(_RECONNECT_SECONDS)
