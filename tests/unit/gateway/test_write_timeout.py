"""What counts as a client's sign of life while something is being sent to it."""

import asyncio

from gateway.service.stream.timer_wheel import TimerWheel
from gateway.service.stream.write_timeout import WriteTimeout

_LIMIT_SECONDS = 5.0
_SEND_TIMEOUT = 0.2
_SIZE = 100_000
_MANY_LOOKS = 12  # four in each time-out


class _FakeWire:
    """A connection whose buffer changes by a step at each look."""

    def __init__(self, step: int) -> None:
        self.looks = 0
        self.is_cut = asyncio.Event()
        self.was_often_seen = asyncio.Event()
        self._step = step

    def get_write_buffer_size(self) -> int:
        self.looks += 1
        if self.looks > _MANY_LOOKS:
            self.was_often_seen.set()
        return _SIZE + self.looks * self._step

    def set_write_buffer_limits(self, high: int) -> None:
        raise RuntimeError("the handler is closed")

    def abort(self) -> None:
        self.is_cut.set()


async def test_what_the_server_adds_itself_is_no_sign_of_life() -> None:
    wire = _FakeWire(step=6)
    watch = WriteTimeout(TimerWheel(), wire, _SEND_TIMEOUT)
    watch.begin()
    async with asyncio.timeout(_LIMIT_SECONDS):
        await wire.is_cut.wait()


async def test_a_client_that_takes_a_little_is_not_cut() -> None:
    wire = _FakeWire(step=-6)
    watch = WriteTimeout(TimerWheel(), wire, _SEND_TIMEOUT)
    watch.begin()
    async with asyncio.timeout(_LIMIT_SECONDS):
        await wire.was_often_seen.wait()
    assert not wire.is_cut.is_set()
    watch.close()


async def test_a_connection_that_is_closed_already_can_be_limited() -> None:
    WriteTimeout(TimerWheel(), _FakeWire(step=0), _SEND_TIMEOUT).let_wait(at_most_bytes=1)
