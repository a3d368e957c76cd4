"""Text gives way to runs that arrive, and not for ever."""

import asyncio

import pytest

from modem.service.run_log import priority_gate as module
from modem.service.run_log.priority_gate import Arrivals


async def _is_let_through(waiting: asyncio.Task[None]) -> bool:
    for _ in range(3):  # turns of the event loop
        await asyncio.sleep(0)
    return waiting.done()


async def test_text_waits_until_every_arriving_run_has_arrived() -> None:
    arrivals = Arrivals()
    with arrivals.arriving():
        with arrivals.arriving():
            text = asyncio.create_task(arrivals.give_way())
            assert not await _is_let_through(text)
        assert not await _is_let_through(text)
    assert await _is_let_through(text)
    await text


async def test_a_claim_and_the_first_event_after_it_are_one_arrival() -> None:
    arrivals = Arrivals()
    with arrivals.arriving():
        text = asyncio.create_task(arrivals.give_way())
        assert not await _is_let_through(text)
    with arrivals.arriving():
        assert not await _is_let_through(text)
    await text


async def test_a_rush_that_does_not_end_holds_text_up_for_a_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_SECONDS", 0.0)
    arrivals = Arrivals()
    with arrivals.arriving():
        await asyncio.wait_for(arrivals.give_way(), 5)
