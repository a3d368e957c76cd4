"""Workers restarted under load hand their runs over: nothing is lost, done twice, paid twice or counted as a crash."""

from pathlib import Path

import pytest

from tests.chaos.rolling_restart import restart_one_by_one


@pytest.mark.chaos
@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_stopping_workers_hand_every_run_over(tmp_path: Path) -> None:
    restart = await restart_one_by_one(tmp_path, modems=1, rounds=1, clients=8, seed=1)

    broken = {name: found for name, found in restart.findings().items() if found}
    assert not broken, f"the logs are in {tmp_path}"
    assert restart.hand_overs > 0, "no run was in the worker that was stopped"
