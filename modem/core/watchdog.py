"""Ends a worker whose event loop is blocked, so that others take its runs over instead of waiting for it."""

import asyncio
import faulthandler
from types import TracebackType
from typing import Final, Self

# On a busy machine a worker may get no CPU time for a while; it does not hang.
_LEAST_SECONDS: Final = 5.0
# The timer is reset this many times per limit, so that a paused worker that resumes has nearly all of it left.
_RESETS_PER_LIMIT: Final = 20
# The descriptor: Celery replaces sys.stderr with an object that has none.
_STDERR: Final = 2


class Watchdog:
    """An event loop that is blocked for two lease times ends the process: exit code 1 and a dump of its threads.

    The timer is faulthandler's, a thread in C that does not need the GIL: it also ends a process whose GIL is held
    for ever. Only a blocked event loop counts: Redis may be down, and a drain may take its time.
    """

    def __init__(self, lease_seconds: float) -> None:
        self.limit_seconds = max(2 * lease_seconds, _LEAST_SECONDS)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._reset()  # a fault raises here, not in the task
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        faulthandler.cancel_dump_traceback_later()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self.limit_seconds / _RESETS_PER_LIMIT)
            self._reset()

    def _reset(self) -> None:
        faulthandler.dump_traceback_later(self.limit_seconds, exit=True, file=_STDERR)
