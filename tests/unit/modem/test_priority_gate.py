"""New runs have priority over streamed text, for a limited time."""

import asyncio

import pytest

from modem.service.run_log import priority_gate as module
from modem.service.run_log.priority_gate import PriorityGate


async def _is_let_through(waiting: asyncio.Task[None]) -> bool:
    for _ in range(3):  # turns of the event loop
        await asyncio.sleep(0)
    return waiting.done()


async def test_text_waits_until_no_new_run_has_priority() -> None:
    priority_gate = PriorityGate()
    with priority_gate.priority():
        with priority_gate.priority():
            text = asyncio.create_task(priority_gate.yield_to_new_runs())
            assert not await _is_let_through(text)
        assert not await _is_let_through(text)
    assert await _is_let_through(text)
    await text


async def test_a_claim_and_the_first_event_after_it_hold_up_text() -> None:
    priority_gate = PriorityGate()
    with priority_gate.priority():
        text = asyncio.create_task(priority_gate.yield_to_new_runs())
        assert not await _is_let_through(text)
    with priority_gate.priority():
        assert not await _is_let_through(text)
    await text


async def test_an_endless_rush_holds_text_up_for_a_limited_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_SECONDS", 0.0)
    priority_gate = PriorityGate()
    with priority_gate.priority():
        await asyncio.wait_for(priority_gate.yield_to_new_runs(), 5)


async def test_one_slow_claim_holds_text_up_for_a_shorter_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_SECONDS", 60.0)
    monkeypatch.setattr(module, "_MAX_SECONDS_EACH", 0.0)
    priority_gate = PriorityGate()
    with priority_gate.priority():
        await asyncio.wait_for(priority_gate.yield_to_new_runs(), 5)
