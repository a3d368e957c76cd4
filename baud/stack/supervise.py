"""Keeps one process alive: starts it, restarts it when it dies, stops it with all its descendants."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from baud.sdk.errors import StackError
from baud.stack import die_with_parent

_DIE_WITH_PARENT = str(Path(die_with_parent.__file__).absolute())
_FIRST_BACKOFF_SECONDS = 1.0
_LONGEST_BACKOFF_SECONDS = 30.0
_HEALTHY_SECONDS = 60.0  # a process that lived so long starts its backoff anew
_REAP_SECONDS = 5.0  # a killed process that is still there hangs in the kernel


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """One process of the stack: its command, its input, and how long it may take to stop."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    stdin: bytes = b""
    pass_fds: tuple[int, ...] = ()
    stop_seconds: float = 10.0
    log: Path | None = None  # where it logs, if not to its output
    before_restart: Callable[[], Awaitable[None]] | None = None  # awaited before a restart


def backoff_seconds(deaths: int) -> float:
    """Return the pause before the start that follows `deaths` early deaths in a row (1, 2, ...)."""
    return min(_LONGEST_BACKOFF_SECONDS, _FIRST_BACKOFF_SECONDS * 2.0 ** min(deaths - 1, 10))


def describe_exit(code: int) -> str:
    """Say how a process ended: `code` is its exit code, or minus the signal that killed it."""
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


class Service:
    """One supervised process. `output` is the descriptor that takes its output, `report` a line for the user."""

    def __init__(self, spec: ServiceSpec, *, output: int, report: Callable[[str], None]) -> None:
        self.spec = spec
        self._output = output
        self._report = report
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """The process id of the present process."""
        return self._running().pid

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise StackError(f"{self.spec.name} was not started")
        return self._process

    async def start(self) -> None:
        """Start the process so that it dies with this one, in its own session so that Ctrl-C does not reach it."""
        spec = self.spec
        argv = (sys.executable, "-I", "-S", _DIE_WITH_PARENT, str(os.getpid()), *spec.argv)
        self._process = await asyncio.create_subprocess_exec(
            *argv,
            env=dict(spec.env),
            stdin=asyncio.subprocess.PIPE if spec.stdin else asyncio.subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            pass_fds=spec.pass_fds,
            start_new_session=True,
        )
        if self._process.stdin is not None:
            self._process.stdin.write(spec.stdin)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                await self._process.stdin.drain()
            self._process.stdin.close()

    def ending(self) -> str | None:
        """Say how the present process ended; None while it runs."""
        code = self._running().returncode
        return None if code is None else describe_exit(code)

    def signal_kill(self) -> None:
        """Send SIGKILL to the process and its group, without waiting for their end."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def wait(self) -> int:
        """Wait until the present process has ended; return its exit code."""
        return await self._running().wait()

    async def keep_alive(self) -> None:
        """Start the process again whenever it ends, until this coroutine is cancelled."""
        deaths = 0
        while True:
            started = time.monotonic()
            how = "is not there" if self._process is None else describe_exit(await self.wait())
            await self.kill()
            deaths = 1 if time.monotonic() - started >= _HEALTHY_SECONDS else deaths + 1
            while not await self._start_again(how, deaths):
                how, deaths = "could not be started", deaths + 1

    async def _start_again(self, how: str, deaths: int) -> bool:
        """Start the process after its pause; False when the system cannot start a process now."""
        pause = backoff_seconds(deaths)
        self._report(f"{self.spec.name} {how}; starting it again in {pause:g} s")
        await asyncio.sleep(pause)
        if self.spec.before_restart is not None:
            await self.spec.before_restart()
        try:
            await self.start()
        except (OSError, RuntimeError) as error:  # no memory, processes, threads or open files are left
            self._report(f"{self.spec.name}: {error}")
            await self.kill()
            return False
        self._report(f"{self.spec.name} is running again (pid {self.pid})")
        return True

    async def stop(self, *, at_most_seconds: float | None = None) -> None:
        """Ask the process to end, wait a bounded time, then kill it and every descendant that is left."""
        if self._process is None:
            return
        limit = self.spec.stop_seconds if at_most_seconds is None else min(at_most_seconds, self.spec.stop_seconds)
        family = _descendants(self._process.pid) if self._process.returncode is None else ()
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), limit)
        except TimeoutError:
            self._report(f"{self.spec.name} did not stop within {limit:g} s; killing it")
        await self.kill(family)

    async def kill(self, family: tuple[psutil.Process, ...] = ()) -> None:
        """Kill the process, its process group and the given descendants at once; done once per process."""
        if self._process is None:
            return
        self.signal_kill()
        process, self._process = self._process, None
        for member in family:
            with contextlib.suppress(psutil.Error, OSError):
                member.kill()  # psutil compares the creation time first: never another process with a reused id
        try:
            await asyncio.wait_for(process.wait(), _REAP_SECONDS)
        except TimeoutError:
            self._report(f"{self.spec.name} (pid {process.pid}) was killed and still exists; it is left running")


def _descendants(pid: int) -> tuple[psutil.Process, ...]:
    try:
        return tuple(psutil.Process(pid).children(recursive=True))
    except (psutil.Error, OSError):
        return ()
