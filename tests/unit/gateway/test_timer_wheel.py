"""The wheel calls back in time, once, and never before."""

import asyncio
import random
from functools import partial

from gateway.service.stream.timer_wheel import TimerWheel

_LIMIT_SECONDS = 5.0


async def test_timers_are_called_once_in_the_order_of_their_times() -> None:
    wheel, loop = TimerWheel(), asyncio.get_running_loop()
    called: list[tuple[int, float]] = []
    is_done = asyncio.Event()
    due = {number: loop.time() + number / 20 for number in range(5)}

    def note(number: int) -> None:
        called.append((number, loop.time()))
        if len(called) == len(due):
            is_done.set()

    for number in random.Random(1).sample(sorted(due), len(due)):
        wheel.timer(partial(note, number)).set(due[number])
    async with asyncio.timeout(_LIMIT_SECONDS):
        await is_done.wait()
    assert [number for number, _ in called] == sorted(due)
    assert all(at >= due[number] for number, at in called)


async def test_a_timer_fires_at_the_earliest_time_that_was_set() -> None:
    wheel, now = TimerWheel(), asyncio.get_running_loop().time
    is_called = asyncio.Event()
    timer = wheel.timer(is_called.set)
    timer.set(now() + 3600)
    timer.set(now() + 0.01)
    timer.set(now() + 3600)
    async with asyncio.timeout(_LIMIT_SECONDS):
        await is_called.wait()


async def test_a_stopped_timer_is_not_called_and_can_be_set_again() -> None:
    wheel, now = TimerWheel(), asyncio.get_running_loop().time
    is_called, is_over = asyncio.Event(), asyncio.Event()
    timer = wheel.timer(is_called.set)
    timer.set(now() + 0.01)
    timer.stop()
    wheel.timer(is_over.set).set(now() + 0.06)
    async with asyncio.timeout(_LIMIT_SECONDS):
        await is_over.wait()
        assert not is_called.is_set()
        timer.set(now())
        await is_called.wait()


async def test_many_timers_due_at_once_do_not_block_the_loop() -> None:
    wheel, loop = TimerWheel(), asyncio.get_running_loop()
    called, turns = 0, 0
    is_done = asyncio.Event()

    def note() -> None:
        nonlocal called
        called += 1
        if called == 1000:
            is_done.set()

    def turn() -> None:
        nonlocal turns
        turns += 0 < called < 1000
        if called < 1000:
            loop.call_soon(turn)

    for _ in range(1000):
        wheel.timer(note).set(loop.time() + 0.02)
    loop.call_soon(turn)
    async with asyncio.timeout(_LIMIT_SECONDS):
        await is_done.wait()
    assert turns > 10


async def test_a_callback_that_fails_does_not_affect_the_others() -> None:
    wheel, loop = TimerWheel(), asyncio.get_running_loop()
    faults: list[object] = []
    loop.set_exception_handler(lambda _loop, context: faults.append(context["exception"]))
    is_called = asyncio.Event()

    def fail() -> None:
        raise RuntimeError("a fault")

    wheel.timer(fail).set(loop.time())
    wheel.timer(is_called.set).set(loop.time() + 0.05)
    async with asyncio.timeout(_LIMIT_SECONDS):
        await is_called.wait()
    assert len(faults) == 1
