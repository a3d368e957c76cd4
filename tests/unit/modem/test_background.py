"""Background work goes on until it is cancelled, and is gone then, whatever it does with a cancellation."""

import asyncio

from modem.core.background import keep_going


async def test_work_that_swallows_a_cancellation_ends_all_the_same() -> None:
    started = asyncio.Event()

    async def deaf() -> None:
        try:
            started.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.Event().wait()  # as redis-py does while it opens a connection

    keeper = asyncio.create_task(keep_going("deaf", deaf))
    await started.wait()
    keeper.cancel()
    async with asyncio.timeout(5):
        await asyncio.wait([keeper])
    assert asyncio.all_tasks() == {asyncio.current_task()}
