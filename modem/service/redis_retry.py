"""How long, and how often, a worker retries while Redis does not answer."""

import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_delay, wait_random_exponential

from shared.errors import StoreUnavailableError

_log = logging.getLogger(__name__)

# Longer than a restart or a fail-over of Redis takes; after that the run is given up here.
GIVE_UP_SECONDS: Final = 120.0
# How late, at most, a worker notices that Redis is back.
NOTICE_SECONDS: Final = 2.0

T = TypeVar("T")


async def redis_retry(call: Callable[[], Awaitable[T]], run_id: str, *, unless: Callable[[], bool] | None = None) -> T:
    """Return what the call returns; it is made again while it raises StoreUnavailableError, for GIVE_UP_SECONDS.

    Once `unless` returns true, the next failure is raised at once.
    """
    try:
        return await call()  # on its own: the retry loop costs more than a write of streamed text
    except StoreUnavailableError:
        if unless is not None and unless():
            raise
    async for attempt in _retrying(run_id, unless):
        with attempt:
            return await call()
    raise StoreUnavailableError


def _retrying(run_id: str, unless: Callable[[], bool] | None) -> AsyncRetrying:
    is_timed_out = stop_after_delay(GIVE_UP_SECONDS)

    def stop(state: RetryCallState) -> bool:
        return is_timed_out(state) or (unless is not None and unless())

    def log_retry(state: RetryCallState) -> None:
        _log.warning("run %s: Redis does not answer, try %d", run_id, state.attempt_number + 1)

    return AsyncRetrying(
        retry=retry_if_exception_type(StoreUnavailableError),
        wait=wait_random_exponential(multiplier=0.1, max=NOTICE_SECONDS),
        stop=stop,
        before_sleep=log_retry,
        reraise=True,
    )
