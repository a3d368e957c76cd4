"""Turns SIGINT, SIGTERM and SIGHUP into the orderly end of a block of asynchronous code."""

import asyncio
import signal
from collections.abc import Callable
from types import TracebackType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """`async with` block that the first signal cancels and leaves without an error; `signal_number` is which one.

    The clean-up inside the block runs to its end; `on_second` is called for each further signal, to speed it up.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self.on_second: Callable[[], None] | None = None
        self._task: asyncio.Task[object] | None = None

    async def __aenter__(self) -> "Interruption":
        self._task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._interrupt, number)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.remove_signal_handler(number)
        if self.signal_number is None or self._task is None:
            return False
        return self._task.uncancel() == 0 and kind is asyncio.CancelledError

    def _interrupt(self, number: int) -> None:
        if self.signal_number is None:
            self.signal_number = number
            if self._task is not None:
                self._task.cancel()
        elif self.on_second is not None:
            self.on_second()
