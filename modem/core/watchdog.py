"""Ends a worker whose event loop no longer turns, so that others take its runs over instead of waiting for it."""

import asyncio
import faulthandler
from types import TracebackType
from typing import Final, Self

# A worker that gets no processor for a while on a busy machine is not one that hangs.
_LEAST_SECONDS: Final = 5.0
# So many signs fit into the limit: a worker that is stopped and goes on has had nearly all of it.
_SIGNS: Final = 20
# The descriptor, for Celery puts an object without one in the place of sys.stderr.
_STDERR: Final = 2


class Watchdog:
    """Two lease times without a sign of the loop end the process with exit code 1 and a dump of its threads.

    The timer is faulthandler's, a thread in C that needs no interpreter lock: it ends a process whose lock is held for
    good. The sign is that the loop turns, nothing else: Redis may be away, and a drain may take its time.
    """

    def __init__(self, lease_seconds: float) -> None:
        self.limit_seconds = max(2 * lease_seconds, _LEAST_SECONDS)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._give_sign()  # what is wrong with it fails here, and not in the task
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
            await asyncio.sleep(self.limit_seconds / _SIGNS)
            self._give_sign()

    def _give_sign(self) -> None:
        faulthandler.dump_traceback_later(self.limit_seconds, exit=True, file=_STDERR)
