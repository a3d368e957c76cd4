"""The dependencies are checked once a second at most, however many ask."""

import asyncio

from gateway.service import health as check_health
from gateway.service.health import SharedProbe


class _Counted:
    """Returns how often it was called, once `may_answer` is set."""

    def __init__(self) -> None:
        self.asked = 0
        self.may_answer = asyncio.Event()

    async def ask(self) -> int:
        self.asked += 1
        await self.may_answer.wait()
        return self.asked


async def test_concurrent_callers_share_one_check() -> None:
    counted = _Counted()
    probe = SharedProbe(counted.ask, lambda _: True)
    asking = [asyncio.create_task(probe.answer()) for _ in range(100)]
    asking[0].cancel()
    await asyncio.sleep(0)
    counted.may_answer.set()
    assert await asyncio.gather(*asking[1:]) == [1] * 99
    assert await probe.answer() == 1, "it is still fresh"


async def test_an_old_answer_is_checked_again() -> None:
    counted = _Counted()
    counted.may_answer.set()
    probe = SharedProbe(counted.ask, lambda _: True)
    assert await probe.answer() == 1
    probe._answered_at -= check_health._FRESH_SECONDS * 1.01
    assert await probe.answer() == 2
    await probe.close()


async def test_a_bad_answer_is_soon_checked_again() -> None:
    counted = _Counted()
    counted.may_answer.set()
    probe = SharedProbe(counted.ask, lambda asked: asked > 1)
    assert await probe.answer() == 1
    probe._answered_at -= check_health._FRESH_SECONDS_WHEN_BAD * 1.01
    assert await probe.answer() == 2
    probe._answered_at -= check_health._FRESH_SECONDS_WHEN_BAD * 1.01
    assert await probe.answer() == 2, "this one was good"
    await probe.close()
