"""One process of the stack under chaos: restarted whenever it dies, and disturbed by signals."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# Above every bounded wait of an orderly end, with room for a busy machine.
_ORDERLY_END_SECONDS: Final = 20.0
_RESTART_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Ending:
    """How a process ended after SIGTERM, and after how long."""

    code: int
    seconds: float


class KeptProcess:
    """Keeps a command running; `stubborn` names the processes that did not end on SIGTERM in time."""

    def __init__(self, name: str, argv: Sequence[str], *, settings: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.starts = 0
        self.stubborn: list[str] = []
        self.endings: list[Ending] = []
        self._argv = argv
        self._settings = {"PYTHONFAULTHANDLER": "1", **settings}
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._is_ending = False
        self._is_paused = False
        self.up_since = 0.0

    @property
    def pid(self) -> int:
        """The id of the present process, or of the last one."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> Path:
        """All that its processes printed."""
        return self._folder / f"{self.name}.log"

    def is_well(self, seconds: float) -> bool:
        """Whether it has been up for so long, and no fault is in progress."""
        is_up = self._process is not None and self._process.returncode is None
        return is_up and not self._is_paused and not self._is_ending and time.monotonic() - self.up_since > seconds

    async def start(self) -> None:
        """Start it and keep it running."""
        await self._spawn()
        self._keeper = asyncio.create_task(self._keep(), name=f"keeper of {self.name}")

    def kill(self) -> None:
        """Send SIGKILL; it is started again."""
        self._send(signal.SIGKILL)

    async def pause(self, seconds: float) -> None:
        """Pause it, and resume it after a while."""
        self._is_paused = True
        self._send(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._send(signal.SIGCONT)
            self._is_paused = False

    async def end(self) -> None:
        """Send SIGTERM and wait until this process is gone; one that does not go is killed and named.

        With PYTHONFAULTHANDLER Python writes the stack of each thread into its log.
        """
        process = self._process
        assert process is not None
        self._is_ending = True
        began = time.monotonic()
        self._send(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), _ORDERLY_END_SECONDS)
        except TimeoutError:
            self.stubborn.append(f"{self.name}, pid {process.pid}")
            self._send(signal.SIGABRT)
            await process.wait()
        finally:
            self._is_ending = False
        assert process.returncode is not None
        self.endings.append(Ending(process.returncode, time.monotonic() - began))

    async def stop(self) -> None:
        """End it for good."""
        await self._leave_alone()
        if self._process is not None and self._process.returncode is None:
            self._send(signal.SIGCONT)
            await self.end()

    async def kill_for_good(self) -> None:
        """Send SIGKILL; it is not started again."""
        await self._leave_alone()
        self.kill()
        if self._process is not None:
            await self._process.wait()

    async def _leave_alone(self) -> None:
        """Start it no more."""
        if self._keeper is not None:
            async with self._starting:  # a start that is cancelled half-way would leave a process to nobody
                self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _keep(self) -> None:
        while True:
            assert self._process is not None
            await self._process.wait()
            await asyncio.sleep(_RESTART_SECONDS)
            await self._spawn()

    async def _spawn(self) -> None:
        async with self._starting:
            self._process = await self._launch()
        self.starts += 1
        self.up_since = time.monotonic()

    async def _launch(self) -> asyncio.subprocess.Process:
        with self.log.open("ab") as output:
            return await asyncio.create_subprocess_exec(
                *self._argv,
                cwd=self._folder,
                env=dict(self._settings),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
