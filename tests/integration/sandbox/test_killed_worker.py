"""What a killed worker had started does not go on beside what the next one starts."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from tests.integration.sandbox.conftest import LocalSandboxes
from tests.integration.sandbox.processes import eventually, is_running, unique_sleep

# As a worker does it: on uvloop, in a thread of its own.
_WORKER = """
import asyncio, os, pathlib, threading, uvloop
from shared.config import SandboxConfig
from workflow.service.sandbox.base import Command
from workflow.service.sandbox.local_provider import LocalProvider

async def main() -> None:
    config = SandboxConfig(isolation={isolation!r})
    provider = LocalProvider(config, pathlib.Path({root!r}), is_production=False, env=os.environ)
    sandbox = await provider.create("t1")
    await sandbox.start(Command(argv={background!r}))
    await sandbox.run(Command(argv={waiting!r}))

thread = threading.Thread(target=lambda: uvloop.run(main()))
thread.start()
thread.join()
"""

StartWorker = Callable[[LocalSandboxes, list[str], list[str]], Awaitable[asyncio.subprocess.Process]]


@pytest.fixture
async def start_worker() -> AsyncIterator[StartWorker]:
    async with AsyncExitStack() as stack:

        async def start(
            sandboxes: LocalSandboxes, background: list[str], waiting: list[str]
        ) -> asyncio.subprocess.Process:
            script = _WORKER.format(
                isolation=sandboxes.isolation.value,
                root=str(sandboxes.root),
                background=background,
                waiting=waiting,
            )
            environment = {**os.environ, "PYTHONPATH": "."}
            worker = await asyncio.create_subprocess_exec(sys.executable, "-c", script, env=environment)
            stack.push_async_callback(_end, worker)
            return worker

        yield start


async def _end(worker: asyncio.subprocess.Process) -> None:
    if worker.returncode is None:
        worker.kill()
        await worker.wait()


async def test_commands_die_with_their_worker(sandboxes: LocalSandboxes, start_worker: StartWorker) -> None:
    background, waiting = unique_sleep(), unique_sleep()
    worker = await start_worker(sandboxes, background, waiting)
    assert await eventually(lambda: is_running(waiting) and is_running(background), seconds=20)
    await _end(worker)
    assert await eventually(lambda: not is_running(waiting) and not is_running(background))


async def test_what_a_dead_workers_commands_started_is_gone_when_its_sandbox_is_opened_again(
    sandboxes: LocalSandboxes, start_worker: StartWorker
) -> None:
    child, session, daemon = unique_sleep(), unique_sleep(), unique_sleep()
    script = f"{' '.join(child)} & setsid {' '.join(session)} & wait"
    worker = await start_worker(
        sandboxes, ["bash", "-c", script], ["bash", "-c", f"(setsid setsid {' '.join(daemon)} &); sleep 100"]
    )
    sleeps = (child, session, daemon)
    assert await eventually(lambda: all(map(is_running, sleeps)), seconds=20)
    await _end(worker)
    await sandboxes.open("t1")
    assert await eventually(lambda: not any(map(is_running, sleeps)))


async def test_the_processes_of_a_living_worker_and_of_other_threads_are_left_alone(
    sandboxes: LocalSandboxes, start_worker: StartWorker
) -> None:
    background, waiting = unique_sleep(), unique_sleep()
    await start_worker(sandboxes, background, waiting)
    assert await eventually(lambda: is_running(waiting) and is_running(background), seconds=20)
    await sandboxes.open("t1")
    await sandboxes.open("t2")
    assert is_running(waiting)
    assert is_running(background)
