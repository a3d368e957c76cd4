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
# A line that was silent for so long may be to a master that has gone without a word: it is opened anew.
_SILENCE_SECONDS: Final = 15.0


async def hear_bell(
    bells: Bells, bell: str, keeper: LeaseKeeper, active: ActiveRuns, *, silence_seconds: float = _SILENCE_SECONDS
) -> None:
    """Listen until cancelled; a lost connection is opened again, and renewals see what was missed."""
    while True:
        try:
            async with bells.open() as line:
                await line.watch([bell])
                while True:
                    async with asyncio.timeout(silence_seconds):
                        heard = await line.heard()
                    if bell in heard:
                        await keeper.renew(list(active))
        except TimeoutError:
            continue
        except StoreUnavailableError:
            _log.warning("this worker's bell is not heard; renewals look after its runs meanwhile")
        await asyncio.sleep(_RECONNECT_SECONDS)
