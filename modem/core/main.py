"""The worker's composition root: settings in, a Celery app with its tasks and its runtime out."""

import logging
import os
import sys
import warnings
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Final

from celery import Celery
from celery.exceptions import SecurityWarning

from modem.core.drain import DrainOnSignal
from modem.core.queue_consumer import QueueConsumer
from modem.core.watchdog import Watchdog
from modem.service.dead_letter_box import DeadLetterBox
from modem.service.event_loop import LoopThread
from modem.service.runtime import Runtime
from modem.task.legacy import register_legacy_task
from modem.task.run import register_run_task
from shared.broker.queue import make_celery
from shared.log import configure_logging
from shared.settings.load import load_settings
from shared.settings.model import Settings

# Celery's threads compete with a busy event loop: with Python's 5 ms a new run waits 0.1 s for its claim.
_SWITCH_SECONDS: Final = 0.0005
# A publish that takes longer fails; the reaper publishes the job again.
_PUBLISH_SECONDS: Final = 5.0

_log = logging.getLogger(__name__)


class Modem:
    """One worker process: its Celery app, its event loop, and what runs on the loop."""

    def __init__(self, settings: Settings, environment: Mapping[str, str]) -> None:
        self._settings = settings
        self._loop = LoopThread()
        self._stack = AsyncExitStack()
        self._watchdog = Watchdog(settings.modem.lease_seconds)
        publishing = make_celery(settings.modem, settings.redis, socket_timeout=_PUBLISH_SECONDS)
        self._runtime = Runtime(settings, publishing, environment)
        self._letters = DeadLetterBox(
            self._runtime.dead_letters,
            self._loop,
            worker_id=self._runtime.worker_id,
            max_message_bytes=settings.modem.max_message_bytes,
        )
        self.app: Celery = make_celery(settings.modem, settings.redis, read_message=self._letters.read)
        register_run_task(self.app, self._loop, self._runtime.services)
        register_legacy_task(self.app, self._loop, self._runtime, self._letters)

    def serve(self) -> int:
        """Take jobs until a stop signal; hand the active runs over, then return the exit code."""
        sys.setswitchinterval(_SWITCH_SECONDS)
        self._loop.start()
        try:
            self._loop.call(self._stack.enter_async_context(self._watchdog))
            self._loop.call(self._stack.enter_async_context(self._runtime))
            timeout_seconds = self._settings.modem.drain_timeout
            with DrainOnSignal(self._loop, self._runtime, timeout_seconds=timeout_seconds):
                return self._consume()
        finally:
            self._loop.call(self._stack.aclose())
            self._loop.stop()

    def _consume(self) -> int:
        worker = self.app.Worker(
            pool="threads",
            consumer_cls=partial(QueueConsumer, letters=self._letters),
            concurrency=self._settings.modem.concurrency,
            hostname=f"{self._runtime.worker_id}@baud",
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            loglevel=self._settings.log.level,
            optimization="fair",
            quiet=True,
        )
        worker.start()
        return int(worker.exitcode or 0)


def create_modem(environment: Mapping[str, str], start: Path) -> Modem:
    """Load settings and build a worker. Raises ConfigurationError."""
    # Celery warns root users of pickled messages; make_celery accepts JSON only.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    settings = load_settings(environment, start)
    configure_logging(settings.log, env=settings.env, service="modem")
    return Modem(settings, environment)


def run_modem() -> int:
    """Serve with this process's environment and folder; return the exit code."""
    return create_modem(os.environ, Path.cwd()).serve()
