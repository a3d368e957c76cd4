"""A background task is restarted, whatever ended it."""

import asyncio

import pytest

from modem.service.background import run_forever


async def fail() -> None:
    raise ZeroDivisionError


async def be_cancelled_from_within() -> None:
    """Await a future that was cancelled."""
    other: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    other.cancel()
    await other


async def end() -> None:
    """Return, which a background task must not."""


@pytest.mark.parametrize("way", [fail, be_cancelled_from_within, end])
async def test_a_task_that_ended_is_restarted(way: object, caplog: pytest.LogCaptureFixture) -> None:
    begun = asyncio.Semaphore(0)

    async def work() -> None:
        begun.release()
        assert callable(way)
        await way()

    keeping = asyncio.create_task(run_forever("the keeper", work, pause_seconds=0))
    async with asyncio.timeout(5):
        for _ in range(3):
            await begun.acquire()
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    assert keeping.cancelled()
    assert "failed; restarting it: the keeper" in caplog.text


async def test_a_task_that_swallows_a_cancellation_ends() -> None:
    started = asyncio.Event()

    async def stubborn() -> None:
        try:
            started.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.Event().wait()  # as redis-py does while it opens a connection

    keeper = asyncio.create_task(run_forever("stubborn", stubborn))
    await started.wait()
    keeper.cancel()
    async with asyncio.timeout(5):
        await asyncio.wait([keeper])
    assert asyncio.all_tasks() == {asyncio.current_task()}
