"""Streamed text is written at the configured interval, and in larger pieces while writes are slow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modem.service.run_log.flush_interval import pause_seconds

SECONDS = st.floats(0, 100)


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
