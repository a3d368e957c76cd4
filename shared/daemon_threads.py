"""Threads that a process never waits for when it ends, unlike those of ThreadPoolExecutor."""

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class DaemonThreads(Executor):
    """Runs calls on a fixed number of threads; a thread that is stuck in a call ends with the process."""

    def __init__(self, count: int, name: str) -> None:
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._is_closed = False
        for number in range(count):
            threading.Thread(target=self._serve, name=f"{name}_{number}", daemon=True).start()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Return the future of a call; a call that is cancelled before its turn is left out."""
        if self._is_closed:
            raise RuntimeError("these threads were shut down; submit nothing more")
        future: Future[T] = Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - the thread's edge: passed on to the waiting caller
                future.set_exception(error)
            else:
                future.set_result(result)

        self._work.put(work)
        return future

    def shutdown(self, wait: bool = False, *, cancel_futures: bool = True) -> None:
        """Take no more work and drop what has not begun, without waiting."""
        self._is_closed = True
        self._work.put(None)

    def _serve(self) -> None:
        while not self._is_closed:
            work = self._work.get()
            if work is None:
                self._work.put(None)  # for the next thread
                return
            work()
