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
    ("interval", "write", "waiting", "expected"),
    [
        (0.0, 0.001, 0, 0.0),
        (0.0, 0.08, 3, 0.0),
        (0.0, 0.001, 4, 0.025),
        (0.0, 0.08, 9, 0.08),
        (0.0, 30.0, 900, 0.25),
        (0.1, 0.001, 0, 0.1),
        (1.0, 30.0, 900, 1.0),
    ],
    ids=["at rest", "slow disk", "fast model", "behind", "Redis away", "configured", "configured, behind"],
)
def test_text_pauses_when_writes_are_behind_or_the_configuration_says_so(
    interval: float, write: float, waiting: int, expected: float
) -> None:
    assert pause_seconds(interval, write, waiting) == pytest.approx(expected)


@given(SECONDS, SECONDS, SECONDS, st.integers(0, 100))
def test_a_slower_write_or_more_that_waits_never_shortens_the_pause(
    interval: float, one: float, other: float, waiting: int
) -> None:
    quick, slow = sorted((one, other))
    at_rest = pause_seconds(interval, quick, 0)
    assert interval == at_rest <= pause_seconds(interval, quick, waiting) <= pause_seconds(interval, slow, waiting)
    assert pause_seconds(interval, slow, waiting) <= max(interval, 0.25)
