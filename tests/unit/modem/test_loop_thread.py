"""The one event loop of a worker: entered from other threads, stopped once."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from modem.service.event_loop import LoopThread


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    thread = LoopThread()
    thread.start()
    yield thread
    thread.stop()


async def where() -> str:
    return threading.current_thread().name


async def fail() -> None:
    raise ValueError("from the loop")


def test_a_coroutine_runs_on_the_loops_thread_and_its_result_comes_back(loop: LoopThread) -> None:
    assert loop.call(where()) == "asyncio-loop"
    assert loop.call(where()) != threading.current_thread().name


def test_an_exception_travels_to_the_caller(loop: LoopThread) -> None:
    with pytest.raises(ValueError, match="from the loop"):
        loop.call(fail())
    assert loop.call(where()) == "asyncio-loop", "the loop goes on"


def test_a_submitted_coroutine_runs_without_being_waited_for(loop: LoopThread) -> None:
    ran = threading.Event()

    async def note() -> None:
        ran.set()

    loop.submit(note())
    assert ran.wait(5)


@pytest.mark.parametrize("was_started", [False, True])
def test_a_call_to_a_loop_that_does_not_run_is_refused(was_started: bool) -> None:
    thread = LoopThread()
    if was_started:
        thread.start()
        thread.stop()
    coroutine = where()
    with pytest.raises(RuntimeError, match="not running"):
        thread.call(coroutine)
    thread.submit(fail())
    thread.stop()


def test_stopping_cancels_what_still_runs() -> None:
    thread = LoopThread()
    thread.start()
    began, cancelled = threading.Event(), threading.Event()

    async def forever() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    thread.submit(forever())
    assert began.wait(5)
    thread.stop()
    assert cancelled.is_set()


def test_a_task_that_asks_to_exit_does_not_end_the_loop(loop: LoopThread, caplog: pytest.LogCaptureFixture) -> None:
    async def leave() -> None:
        raise SystemExit(3)

    loop.submit(leave())
    assert loop.call(where()) == "asyncio-loop"
    assert loop.call(where()) == "asyncio-loop"
    assert "asked the process to exit" in caplog.text
