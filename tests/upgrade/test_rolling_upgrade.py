"""Another version and this one on one Redis under load, forward and back: nothing is lost, doubled or missed."""

import os
import sys
from pathlib import Path

import pytest

from tests.other_commit import HERE, other_commit
from tests.upgrade.report import crossings, text
from tests.upgrade.story import roll_forward_and_back
from tests.upgrade.version import Version

pytestmark = [pytest.mark.upgrade, pytest.mark.slow, pytest.mark.timeout(600)]


async def test_rolling_forward_and_back_loses_and_repeats_nothing(tmp_path: Path) -> None:
    ref, seed = os.environ["UPGRADE_REF"], int(os.environ.get("UPGRADE_SEED") or 1)
    with other_commit(ref, lock="requirements.lock") as checkout:
        old, new = Version("old", checkout), Version("new", HERE)
        outcome = await roll_forward_and_back(tmp_path, old=old, new=new, seed=seed)
    sys.stdout.write(f"{checkout.name} and this version, UPGRADE_SEED={seed}: {text(outcome)}\n")

    broken = {name: found for name, found in outcome.findings().items() if found}
    assert not broken, f"the logs are in {tmp_path}"
    assert all(crossings(outcome).values()), "something that the story is about did not happen"
