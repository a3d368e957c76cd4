"""Starts a command's process in its own session, and ends it with everything that it started."""

import asyncio
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

MARKER_VARIABLE: Final = "BAUD_COMMAND_ID"
_KILL_WAIT_SECONDS: Final = 5.0  # a killed process goes at once, but for one that hangs in the kernel
_MARKED_SCANS: Final = 3  # a process may fork while the list is read


@dataclass(frozen=True, slots=True)
class Spawn:
    """What to start on the host.

    `argument_file` is handed over as `--args FD` after argv[0], so that it shows in no process list.
    `contained`: argv[0] keeps the command in a process namespace that dies with it. Otherwise the
    processes that left the group are found by the `marker` in their environment.
    """

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    argument_file: bytes = b""
    contained: bool = False
    marker: str = ""


class SpawnedProcess:
    """One started command, to be ended by `end` in any case."""

    def __init__(self, process: asyncio.subprocess.Process, spawn: Spawn) -> None:
        self._process = process
        self._spawn = spawn
        self._others: list[psutil.Process] = []  # that the command has started, older ones first

    @property
    def pid(self) -> int:
        """The process id on the host."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code as a shell reports it (128 + n for signal n), None while it runs."""
        code = self._process.returncode
        return 128 - code if code is not None and code < 0 else code

    async def wait(self) -> None:
        """Wait until the process itself has ended; others of its group may go on."""
        await self._process.wait()

    async def end(self, grace_seconds: float) -> None:
        """Terminate what still runs, give it the grace to end by itself, then kill all of it."""
        try:
            if self._process.returncode is None:
                self._others = await asyncio.to_thread(_others, self.pid)
                self._terminate()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._process.wait(), grace_seconds)
        finally:  # at once, also when the caller is cancelled a second time
            self._kill()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), _KILL_WAIT_SECONDS)
        if self._spawn.marker:
            await asyncio.to_thread(_kill_marked, self._spawn.marker)

    def _terminate(self) -> None:
        """Ask each process once, parents first: a shell that outlived its child would write that it was terminated."""
        if not self._spawn.contained:  # the container itself would take the command with it without grace
            with suppress(ProcessLookupError):
                self._process.terminate()
        for process in self._others:
            with suppress(psutil.Error):
                process.terminate()

    def _kill(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        for process in self._others:
            with suppress(psutil.Error):
                process.kill()


async def spawn_process(spawn: Spawn, output: int) -> SpawnedProcess:
    """Start it with stdout and stderr on the descriptor `output`. Raises OSError or ValueError as Popen does.

    Runs on the event loop's own thread on purpose: --die-with-parent means the thread that forked.
    """
    for word in (*spawn.argv, *spawn.env, *spawn.env.values()):
        if "\0" in word:  # uvloop would silently cut the word there
            raise ValueError("it contains a null byte")
    argv = spawn.argv
    passed: list[int] = []
    if spawn.argument_file:
        passed.append(_memory_file(spawn.argument_file))
        argv = (argv[0], "--args", str(passed[0]), *argv[1:])
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=spawn.cwd,
            env=dict(spawn.env),
            pass_fds=passed,
            start_new_session=True,
        )
    finally:
        for descriptor in passed:
            os.close(descriptor)
    return SpawnedProcess(process, spawn)


def _memory_file(content: bytes) -> int:
    descriptor = os.memfd_create("arguments")
    with open(descriptor, "wb", closefd=False) as file:
        file.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _others(leader: int) -> list[psutil.Process]:
    """Return what descends from the leader and what is left in its group, in the order in which it was started."""
    found: set[psutil.Process] = set()
    with suppress(psutil.NoSuchProcess):
        found.update(psutil.Process(leader).children(recursive=True))
    found.update(process for process in psutil.process_iter() if _group_of(process.pid) == leader != process.pid)
    return sorted(found, key=lambda process: (_start_of(process), process.pid))


def _start_of(process: psutil.Process) -> float:
    try:
        return process.create_time()
    except psutil.Error:
        return 0.0  # it has ended meanwhile


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def _kill_marked(marker: str) -> None:
    for _ in range(_MARKED_SCANS):
        marked = [process for process in psutil.process_iter() if _is_marked(process, marker)]
        for process in marked:
            with suppress(psutil.Error):
                process.kill()
        if not marked:
            return


def _is_marked(process: psutil.Process, marker: str) -> bool:
    try:
        return process.environ().get(MARKER_VARIABLE) == marker
    except (psutil.Error, OSError):
        return False
