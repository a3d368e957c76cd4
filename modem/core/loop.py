"""The one asyncio loop of a worker process: started and stopped here, entered from Celery's threads."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")


class LoopThread:
    """An event loop in a thread of its own; every run of the process lives on it."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the loop; it is ready when this returns."""
        ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(ready,), name="asyncio-loop", daemon=True)
        self._thread.start()
        ready.wait()

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and wait for its result, from any other thread.

        Raises RuntimeError when the loop does not run.
        """
        if self._loop is None:
            coroutine.close()
            raise RuntimeError("The worker's event loop is not running.")
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def submit(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Start a coroutine on the loop without waiting for it; safe in a signal handler."""
        if self._loop is None:
            coroutine.close()
            return
        asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def stop(self) -> None:
        """Stop the loop and join its thread; what still runs on it is cancelled."""
        if self._loop is None or self._thread is None:
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop = None

    def _serve(self, ready: threading.Event) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            self._loop = runner.get_loop()
            self._loop.call_soon(ready.set)
            self._loop.run_forever()
