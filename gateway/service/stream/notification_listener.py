"""Keeps one line on which the bells of the watched streams are heard, and opens it again when it breaks."""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from gateway.service.stream.subscriber import Pace
from shared.errors import StoreUnavailableError

logger = logging.getLogger(__name__)


class Line(Protocol):
    """An open connection on which bells are heard."""

    async def watch(self, bells: Iterable[str]) -> None:
        """Listen to these as well."""

    async def forget(self, bells: Iterable[str]) -> None:
        """Listen to these no longer."""

    async def ping(self) -> None:
        """Make `heard` return."""

    async def heard(self) -> Sequence[str]:
        """Return the next bells that rang or are watched from now on; none for an answer to a ping."""


class BellLines(Protocol):
    """Opens lines."""

    def open(self) -> AbstractAsyncContextManager[Line]:
        """Yield a line that is closed at the end of the block."""


class BellWatch:
    """Listens to the bells that `wanted` names and calls `ring` for each that is heard, or heard from now on."""

    def __init__(self, bells: BellLines, pace: Pace, *, wanted: Collection[str], ring: Callable[[str], None]) -> None:
        self._bells = bells
        self._pace = pace
        self._wanted = wanted
        self._ring = ring
        self._stale: set[str] = set()  # bells that may have become wanted or unwanted
        self._changed = asyncio.Event()
        self._heard_at = 0.0
        self.is_heard = True

    def note_change(self, bell: str) -> None:
        """Look whether this bell is wanted still, or now."""
        self._stale.add(bell)
        self._changed.set()

    async def run(self) -> None:
        """Hear bells until cancelled; a line that breaks is opened again."""
        while True:
            try:
                async with self._bells.open() as line, asyncio.TaskGroup() as tasks:
                    self._say_whether_heard(True)
                    self._heard_at = asyncio.get_running_loop().time()
                    tasks.create_task(self._listen(line))
                    tasks.create_task(self._keep_watch(line))
            except* (StoreUnavailableError, TimeoutError):
                self._say_whether_heard(False)
            await asyncio.sleep(self._pace.retry)

    def _say_whether_heard(self, is_heard: bool) -> None:
        if is_heard and not self.is_heard:
            logger.info("the bells of the streams are heard again")
        elif self.is_heard and not is_heard:
            logger.warning("the bells of the streams are not heard; streams are read every few seconds")
        self.is_heard = is_heard

    async def _listen(self, line: Line) -> None:
        while True:
            bells = await line.heard()
            self._heard_at = asyncio.get_running_loop().time()
            for bell in bells:
                self._ring(bell)
            await asyncio.sleep(self._pace.breath)

    async def _keep_watch(self, line: Line) -> None:
        """Watch what is wanted and nothing else; ping now and then, so that a dead connection is noticed."""
        watched: set[str] = set()
        self._stale.update(self._wanted)
        while True:
            self._changed.clear()
            stale, self._stale = self._stale, set()
            added = {bell for bell in stale if bell in self._wanted and bell not in watched}
            removed = {bell for bell in stale if bell in watched and bell not in self._wanted}
            if added:
                watched |= added
                await line.watch(added)
            if removed:
                watched -= removed
                await line.forget(removed)
            await self._rest(line)

    async def _rest(self, line: Line) -> None:
        """Wait for a change; without one, ping."""
        try:
            async with asyncio.timeout(self._pace.silence / 3):
                await self._changed.wait()
        except TimeoutError:
            if asyncio.get_running_loop().time() - self._heard_at > self._pace.silence:
                raise
            await line.ping()
