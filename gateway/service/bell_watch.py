"""Keeps one line on which the bells of the watched streams are heard, and opens it again when it breaks."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from gateway.service.follower import Pace
from shared.errors import StoreUnavailableError

logger = logging.getLogger(__name__)


class Line(Protocol):
    """An open connection on which bells are heard."""

    async def watch(self, bells: Iterable[str]) -> None:
        """Listen to these as well."""

    async def forget(self, bells: Iterable[str]) -> None:
        """Listen to these no longer."""

    async def ping(self) -> None:
        """Make `heard` return None."""

    async def heard(self) -> str | None:
        """Return the next bell that rang or is watched from now on."""


class BellLines(Protocol):
    """Opens lines."""

    def open(self) -> AbstractAsyncContextManager[Line]:
        """Yield a line that is closed at the end of the block."""


class BellWatch:
    """Listens to the bells that `wanted` names and calls `ring` for each that is heard, or heard from now on."""

    def __init__(
        self, bells: BellLines, pace: Pace, *, wanted: Callable[[], Iterable[str]], ring: Callable[[str], None]
    ) -> None:
        self._bells = bells
        self._pace = pace
        self._wanted = wanted
        self._ring = ring
        self._changed = asyncio.Event()
        self._is_heard = True

    def note_change(self) -> None:
        """Have `wanted` asked again."""
        self._changed.set()

    async def run(self) -> None:
        """Hear bells until cancelled; a line that breaks is opened again."""
        while True:
            try:
                async with self._bells.open() as line, asyncio.TaskGroup() as tasks:
                    self._say_whether_heard(True)
                    tasks.create_task(self._listen(line))
                    tasks.create_task(self._keep_watch(line))
            except* (StoreUnavailableError, TimeoutError):
                self._say_whether_heard(False)
            await asyncio.sleep(self._pace.retry)

    def _say_whether_heard(self, is_heard: bool) -> None:
        if is_heard and not self._is_heard:
            logger.info("the bells of the streams are heard again")
        elif self._is_heard and not is_heard:
            logger.warning("the bells of the streams are not heard; streams are read every few seconds")
        self._is_heard = is_heard

    async def _listen(self, line: Line) -> None:
        while True:
            async with asyncio.timeout(self._pace.silence):
                bell = await line.heard()
            if bell is not None:
                self._ring(bell)

    async def _keep_watch(self, line: Line) -> None:
        """Watch what is wanted and nothing else; ping now and then, so that a dead connection is noticed."""
        watched: set[str] = set()
        while True:
            self._changed.clear()
            wanted = set(self._wanted())
            if wanted - watched:
                await line.watch(wanted - watched)
            if watched - wanted:
                await line.forget(watched - wanted)
            watched = wanted
            try:
                async with asyncio.timeout(self._pace.silence / 3):
                    await self._changed.wait()
            except TimeoutError:
                await line.ping()
