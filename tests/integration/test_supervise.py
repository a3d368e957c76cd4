"""A supervised process is restarted even if the system has no process at first and nothing can be printed."""

import asyncio
import errno
import os
import sys
from collections.abc import Iterator
from contextlib import suppress

import pytest

from baud.stack import supervise
from baud.stack.supervise import Service, ServiceSpec
from baud.terminal.console import print_to_stderr

SPEC = ServiceSpec(name="thing", argv=(sys.executable, "-c", "import signal; signal.pause()"), env=dict(os.environ))


class ScarceService(Service):
    """The system has no process for the second and third start."""

    starts = 0

    async def start(self) -> None:
        self.starts += 1
        if self.starts in (2, 3):
            raise OSError(errno.EAGAIN, "Resource temporarily unavailable")
        await super().start()


@pytest.fixture
def full_output() -> Iterator[int]:
    fd = os.open("/dev/full", os.O_WRONLY)
    yield fd
    os.close(fd)


async def test_a_start_that_the_system_refuses_is_retried(full_output: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "_FIRST_BACKOFF_SECONDS", 0.0)
    messages: list[str] = []
    is_back = asyncio.Event()

    def collect(line: str) -> None:
        messages.append(line)
        if "is running again" in line:
            is_back.set()

    service = ScarceService(SPEC, output=full_output, report=collect)
    await service.start()
    former = service.pid
    keeper = asyncio.create_task(service.keep_alive())
    service.signal_kill()
    async with asyncio.timeout(20):
        await is_back.wait()
    assert service.starts == 4
    assert service.pid != former
    assert sum("could not be started" in line for line in messages) == 2
    keeper.cancel()
    with suppress(asyncio.CancelledError):
        await keeper
    await service.stop()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EPIPE, errno.EIO], ids=["full", "gone", "broken"])
def test_a_message_that_cannot_be_printed_is_no_error(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    class Unwritable:
        encoding = "utf-8"

        def write(self, _text: str) -> int:
            raise OSError(number, os.strerror(number))

        def flush(self) -> None:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(sys, "stderr", Unwritable())
    print_to_stderr("the modem died")
