"""How long a worker waits for a Redis that does not answer, and how often it asks."""

import logging
from collections.abc import Callable
from typing import Final

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_delay, wait_random_exponential

from shared.errors import StoreUnavailableError

_log = logging.getLogger(__name__)

# Longer than a restart or a fail-over of Redis takes; then the run cannot be kept true any more.
GIVE_UP_SECONDS: Final = 120.0
# How late, at most, a worker notices that Redis is back.
NOTICE_SECONDS: Final = 2.0


def redis_retry(run_id: str, *, unless: Callable[[], bool] | None = None) -> AsyncRetrying:
    """Return what tries again until Redis answers; StoreUnavailableError comes through after GIVE_UP_SECONDS.

    It comes through at the next failure once `unless` is true: somebody else will do better.
    """
    out_of_patience = stop_after_delay(GIVE_UP_SECONDS)

    def stop(state: RetryCallState) -> bool:
        return out_of_patience(state) or (unless is not None and unless())

    def say(state: RetryCallState) -> None:
        _log.warning("run %s: Redis does not answer, try %d", run_id, state.attempt_number)

    return AsyncRetrying(
        retry=retry_if_exception_type(StoreUnavailableError),
        wait=wait_random_exponential(multiplier=0.1, max=NOTICE_SECONDS),
        stop=stop,
        before_sleep=say,
        reraise=True,
    )
