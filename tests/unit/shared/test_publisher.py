"""A worker hands the next run's job to the broker without stopping its event loop."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from celery import Celery
from kombu.exceptions import OperationalError

from shared.broker.publisher import RunPublisher
from shared.contract.run import RunJob


class FakeCelery(Celery):
    """Takes messages in memory, or refuses them."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__("fake", set_as_current=False)
        self.sent: list[tuple[str, Sequence[str], object]] = []
        self.threads: list[threading.Thread] = []
        self._error = error
        self.before_sending: Callable[[], object] = list

    def send_task(self, name: str, args: Sequence[str] = (), **options: object) -> None:  # type: ignore[override]  # fewer parameters
        self.threads.append(threading.current_thread())
        self.before_sending()
        if self._error is not None:
            raise self._error
        self.sent.append((name, args, options.get("expires")))


async def test_a_job_goes_out_by_name_with_an_expiry_and_off_the_loop() -> None:
    app = FakeCelery()
    await RunPublisher(app).publish(RunJob(thread_id="t", run_id="r"))
    assert app.sent == [("modem.execute_run", ["t", "r"], 24 * 3600)]
    assert app.threads != [threading.current_thread()]


async def test_a_broker_that_does_not_answer_does_not_fail_the_run_that_ended() -> None:
    app = FakeCelery(OperationalError("connection refused"))
    await RunPublisher(app).publish(RunJob(thread_id="t", run_id="r"))
    assert len(app.threads) == 1


async def test_a_job_goes_out_while_tools_hold_every_default_thread() -> None:
    loop, release = asyncio.get_running_loop(), threading.Event()
    loop.set_default_executor(ThreadPoolExecutor(1))
    held = loop.run_in_executor(None, release.wait)
    app = FakeCelery()
    try:
        await asyncio.wait_for(RunPublisher(app).publish(RunJob(thread_id="t", run_id="r")), 5)
    finally:
        release.set()
        await held
    assert len(app.sent) == 1


async def test_a_broker_that_hangs_is_waited_for_within_a_limit(caplog: pytest.LogCaptureFixture) -> None:
    app, release = FakeCelery(), threading.Event()
    app.before_sending = release.wait
    publisher = RunPublisher(app, timeout_seconds=0.01)
    await publisher.publish(RunJob(thread_id="t", run_id="r"))
    assert "the broker did not take the job of run r" in caplog.text
    release.set()
    publisher.close()
