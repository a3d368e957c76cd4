"""The one asyncio loop of a worker process: started and stopped here, entered from Celery's threads."""

import asyncio
import logging
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")
_log = logging.getLogger(__name__)


class LoopThread:
    """An event loop in a thread of its own; every run of the process lives on it."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._is_stopping = False

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
        """Stop the loop and join its thread; tasks still running on it are cancelled."""
        if self._loop is None or self._thread is None:
            return
        self._is_stopping = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop = None

    def _serve(self, ready: threading.Event) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            self._loop = runner.get_loop()
            self._loop.call_soon(ready.set)
            while not self._is_stopping:
                self._run_once(self._loop)

    def _run_once(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run until the loop is stopped or plug-in code asks the process to exit, which must not end the other runs."""
        try:
            loop.run_forever()
        except (SystemExit, KeyboardInterrupt):
            _log.exception("a task on the worker's event loop asked the process to exit; ignored")
