"""A worker hands the next run's job to the broker without stopping its event loop."""

import threading
from collections.abc import Sequence

from celery import Celery
from kombu.exceptions import OperationalError

from modem.service.publish import JobPublisher
from shared.contract.run import RunJob


class FakeCelery(Celery):
    """Takes messages in memory, or refuses them."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__("fake", set_as_current=False)
        self.sent: list[tuple[str, Sequence[str], object]] = []
        self.threads: list[threading.Thread] = []
        self._error = error

    def send_task(self, name: str, args: Sequence[str] = (), **options: object) -> None:  # type: ignore[override]  # fewer parameters
        self.threads.append(threading.current_thread())
        if self._error is not None:
            raise self._error
        self.sent.append((name, args, options.get("expires")))


async def test_a_job_goes_out_by_name_with_an_expiry_and_off_the_loop() -> None:
    app = FakeCelery()
    await JobPublisher(app).publish(RunJob(thread_id="t", run_id="r"))
    assert app.sent == [("modem.execute_run", ["t", "r"], 24 * 3600)]
    assert app.threads != [threading.current_thread()]


async def test_a_broker_that_does_not_answer_does_not_fail_the_run_that_ended() -> None:
    app = FakeCelery(OperationalError("connection refused"))
    await JobPublisher(app).publish(RunJob(thread_id="t", run_id="r"))
    assert len(app.threads) == 1
