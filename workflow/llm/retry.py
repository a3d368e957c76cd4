"""Retries after transient failures: exponential back-off with jitter, or the pause that the provider asks for."""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from shared.config import LLMConfig
from workflow.errors import TransientModelError
from workflow.llm.model import Model, ModelRequest, StreamItem, StreamRestarted

Sleep = Callable[[float], Awaitable[None]]


class RetryingModel:
    """Wraps a Model. After a failure half-way it yields StreamRestarted, then streams from the start."""

    def __init__(
        self,
        inner: Model,
        config: LLMConfig,
        *,
        sleep: Sleep = asyncio.sleep,
        fraction: Callable[[], float] = random.random,  # noqa: S311 - jitter is no secret
    ) -> None:
        """`fraction` returns a number from 0 to 1, for the jitter."""
        self._inner = inner
        self._config = config
        self._sleep = sleep
        self._fraction = fraction

    async def stream(self, request: ModelRequest) -> AsyncGenerator[StreamItem, None]:
        """Yield what the inner model yields; raise its error after the last attempt."""
        attempt = 1
        while True:
            has_yielded = False
            try:
                async with aclosing(self._inner.stream(request)) as items:
                    async for item in items:
                        has_yielded = True
                        yield item
                return
            except TransientModelError as error:
                pause = self._pause_after(error, attempt)
                attempt += 1
                if has_yielded:
                    yield StreamRestarted(attempt=attempt, reason=error.message)
            await self._sleep(pause)

    def _pause_after(self, error: TransientModelError, attempt: int) -> float:
        """Return the seconds to wait; raise where another attempt makes no sense."""
        config = self._config
        if attempt > config.num_retries:
            raise error
        jitter = self._fraction()
        if error.retry_after_seconds is None:
            ceiling = min(config.retry_max_wait, config.retry_min_wait * 2.0 ** (attempt - 1))
            return ceiling * (0.5 + jitter / 2)
        if error.retry_after_seconds > config.retry_max_wait:
            raise TransientModelError(
                f"{error.message} It asks to wait {error.retry_after_seconds:g} s, "
                f"longer than llm.retry_max_wait ({config.retry_max_wait:g} s).",
                retry_after_seconds=error.retry_after_seconds,
            ) from error
        return error.retry_after_seconds + jitter * config.retry_min_wait
