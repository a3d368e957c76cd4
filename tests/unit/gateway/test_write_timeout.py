"""What counts as a client's progress while something is being sent to it."""

import asyncio

from gateway.service.stream.timer_wheel import TimerWheel
from gateway.service.stream.write_timeout import WriteTimeout

_LIMIT_SECONDS = 5.0
_SEND_TIMEOUT = 0.2
_SIZE = 100_000
_MANY_CHECKS = 12  # four in each time-out


class _FakeWire:
    """A connection whose buffer changes by a step at each check."""

    def __init__(self, step: int) -> None:
        self.checks = 0
        self.is_cut = asyncio.Event()
        self.was_often_checked = asyncio.Event()
        self._step = step

    def get_write_buffer_size(self) -> int:
        self.checks += 1
        if self.checks > _MANY_CHECKS:
            self.was_often_checked.set()
        return _SIZE + self.checks * self._step

    def set_write_buffer_limits(self, high: int) -> None:
        raise RuntimeError("the handler is closed")

    def abort(self) -> None:
        self.is_cut.set()


async def test_what_the_server_adds_itself_is_no_progress() -> None:
    wire = _FakeWire(step=6)
    write_timeout = WriteTimeout(TimerWheel(), wire, _SEND_TIMEOUT)
    write_timeout.begin()
    async with asyncio.timeout(_LIMIT_SECONDS):
        await wire.is_cut.wait()


async def test_a_client_that_reads_a_little_is_not_cut() -> None:
    wire = _FakeWire(step=-6)
    write_timeout = WriteTimeout(TimerWheel(), wire, _SEND_TIMEOUT)
    write_timeout.begin()
    async with asyncio.timeout(_LIMIT_SECONDS):
        await wire.was_often_checked.wait()
    assert not wire.is_cut.is_set()
    write_timeout.close()


async def test_a_connection_that_is_closed_already_can_be_limited() -> None:
    WriteTimeout(TimerWheel(), _FakeWire(step=0), _SEND_TIMEOUT).pause_sender_above(max_bytes=1)
