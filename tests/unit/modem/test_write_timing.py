"""Streamed text waits for new runs, for a limited time, and comes in larger pieces while writes are slow."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modem.service.run_log import write_timing as module
from modem.service.run_log.write_timing import PriorityGate, pause_seconds

SECONDS = st.floats(0, 100)


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


@pytest.mark.parametrize(
    ("interval", "write", "expected"),
    [(0.025, 0.001, 0.025), (0.025, 0.08, 0.08), (0.025, 30.0, 0.25), (0.0, 0.0, 0.0), (1.0, 30.0, 1.0)],
    ids=["at rest", "under load", "while Redis is away", "as fast as can be", "slow by configuration"],
)
def test_the_pause_follows_the_time_of_a_write(interval: float, write: float, expected: float) -> None:
    assert pause_seconds(interval, write) == pytest.approx(expected)


@given(SECONDS, SECONDS, SECONDS)
def test_a_slower_write_never_shortens_the_pause(interval: float, one: float, other: float) -> None:
    quick, slow = sorted((one, other))
    assert interval <= pause_seconds(interval, quick) <= pause_seconds(interval, slow) <= max(interval, 0.25)
