"""Runs one command to its end or to its time limit, with its output streamed and bounded."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractContextManager, asynccontextmanager
from errno import E2BIG
from typing import Final

from workflow.service.sandbox.base import CommandResult, OutputSink
from workflow.service.sandbox.output import OutputWindow, pump
from workflow.service.sandbox.spawn import Spawn, SpawnedProcess, spawn_process

GRACE_SECONDS: Final = 1.0  # between SIGTERM and SIGKILL
_LINGER_SECONDS: Final = 0.5  # for the rest of the output, when a child holds it open after the command's end
_LAST_OUTPUT_SECONDS: Final = 5.0  # for a slow reader of the output, when all is dead
NOT_FOUND: Final = 127  # the exit codes of a shell
_NOT_EXECUTABLE: Final = 126

Work = Coroutine[None, None, None]
Watch = Callable[[SpawnedProcess], AbstractContextManager[None]]


async def run_command(
    spawn: Spawn, timeout_seconds: float, on_output: OutputSink | None, watch: Watch
) -> CommandResult:
    """Run it; `watch` is around it meanwhile. What cannot be started is a result with exit code 126 or 127."""
    window = OutputWindow()
    async with _output_pipe() as (reader, writing_end):
        try:
            process = await spawn_process(spawn, writing_end)
        except (OSError, ValueError) as error:
            return start_failure(error)
        finally:
            os.close(writing_end)
        with watch(process):
            timed_out = await _run_to_end(process, pump(reader, window, on_output), timeout_seconds)
    if process.stopped_because:
        window.add(f"\n{process.stopped_because}\n")
    exit_code = None if timed_out else process.exit_code
    return CommandResult(window.text(), exit_code, timed_out, window.truncated)


def start_failure(error: OSError | ValueError) -> CommandResult:
    """Return a shell's result for a command that cannot be started."""
    if isinstance(error, FileNotFoundError):
        return CommandResult(f"{error.filename}: command not found\n", NOT_FOUND)
    if isinstance(error, OSError) and error.errno == E2BIG:
        advice = "The command and its environment are too long. Put the text into a file first.\n"
        return CommandResult(advice, _NOT_EXECUTABLE)
    return CommandResult(f"The command cannot be started: {error}\n", _NOT_EXECUTABLE)


@asynccontextmanager
async def _output_pipe() -> AsyncIterator[tuple[asyncio.StreamReader, int]]:
    """Open a pipe of our own: asyncio's would make wait() wait for every child that holds it."""
    loop = asyncio.get_running_loop()
    reading_end, writing_end = os.pipe()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reading_end, "rb", buffering=0)
    )
    try:
        yield reader, writing_end
    finally:
        transport.close()


async def _run_to_end(process: SpawnedProcess, output: Work, timeout_seconds: float) -> bool:
    """Wait for the end, then see to it that nothing is left; return whether the time limit was reached."""
    async with _owned(output, process.wait()) as (pumping, exited):
        try:
            timed_out = not await _exits_within(timeout_seconds, exited, pumping)
            if not timed_out:
                await asyncio.wait({pumping}, timeout=_LINGER_SECONDS)
        finally:
            await process.end(GRACE_SECONDS)
        await asyncio.wait({pumping}, timeout=_LAST_OUTPUT_SECONDS)
        if pumping.done():
            pumping.result()
    return timed_out


async def _exits_within(timeout_seconds: float, exited: asyncio.Task[None], pumping: asyncio.Task[None]) -> bool:
    """Whether the command ended in time; raises what the reader of the output raised."""
    try:
        async with asyncio.timeout(timeout_seconds):
            await asyncio.wait({exited, pumping}, return_when=asyncio.FIRST_COMPLETED)
            if pumping.done():
                pumping.result()
            await asyncio.wait({exited})
    except TimeoutError:
        return exited.done()
    return True


@asynccontextmanager
async def _owned(*work: Work) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Run these as tasks that end with the block."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
