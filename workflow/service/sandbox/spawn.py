"""Starts a command's process in its own session, and ends it with everything that it started."""

import asyncio
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from workflow.service.sandbox.marker import kill_marked

_KILL_WAIT_SECONDS: Final = 5.0  # a killed process goes at once, but for one that hangs in the kernel


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
    """One started command, to be ended by `end` in any case. Belongs to the event loop that started it."""

    def __init__(self, process: "subprocess.Popen[bytes]", spawn: Spawn) -> None:
        self._process = process
        self._spawn = spawn
        self._others: list[psutil.Process] = []  # that the command has started, older ones first
        self._exited = asyncio.Event()
        _call_at_exit(process, self._exited.set)
        self.stopped_because = ""  # set when the worker itself ended it, other than at its time limit

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
        await self._exited.wait()

    def kill_because(self, reason: str) -> None:
        """Kill the command at once, from any thread; the task that waits for it then ends its remaining processes."""
        self.stopped_because = reason
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    async def end(self, grace_seconds: float) -> None:
        """Terminate what still runs, give it the grace to end by itself, then kill all of it."""
        try:
            if self._process.returncode is None:
                self._others = await asyncio.to_thread(_others, self.pid)
                self._terminate()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.wait(), grace_seconds)
        finally:  # at once, also when the caller is cancelled a second time
            self._kill()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.wait(), _KILL_WAIT_SECONDS)
        if self._spawn.marker:
            await asyncio.to_thread(kill_marked, self._spawn.marker)

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

    Runs on the event loop's own thread on purpose: --die-with-parent means the thread that forked. Not by the loop's
    own means: uvloop closes no descriptor of the worker in the child, and leaves it copies of its own.
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
        process = subprocess.Popen(  # noqa: ASYNC220 - waits for nothing but the exec, as a loop's own start does
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=spawn.cwd,
            env=dict(spawn.env),
            close_fds=True,
            pass_fds=passed,
            start_new_session=True,
        )
    finally:
        for descriptor in passed:
            os.close(descriptor)
    return SpawnedProcess(process, spawn)


def _call_at_exit(process: "subprocess.Popen[bytes]", callback: Callable[[], object]) -> None:
    """Call back on this event loop once the process has ended and its exit code is known."""
    loop = asyncio.get_running_loop()
    try:
        descriptor = os.pidfd_open(process.pid)
    except (OSError, AttributeError):  # an old kernel, a container that forbids the call, or no Linux
        threading.Thread(target=_wait_in_thread, args=(process, loop, callback), daemon=True).start()
        return

    def exited() -> None:
        loop.remove_reader(descriptor)
        os.close(descriptor)
        process.poll()
        callback()

    loop.add_reader(descriptor, exited)


def _wait_in_thread(
    process: "subprocess.Popen[bytes]", loop: asyncio.AbstractEventLoop, callback: Callable[[], object]
) -> None:
    process.wait()
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(callback)


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
