"""Runs under a storm of faults: none is lost, nothing is done twice, and every client sees every event once."""

import os
import secrets
import sys
from pathlib import Path

import pytest

from tests.chaos.fault import FaultKind
from tests.chaos.storm import raise_storm

_RUNS = 40
_THREADS_AT_ONCE = 6


@pytest.mark.chaos
@pytest.mark.slow
@pytest.mark.timeout(3600)
async def test_no_fault_loses_repeats_or_reorders_anything(tmp_path: Path) -> None:
    runs = int(os.environ.get("CHAOS_RUNS", _RUNS))
    seed = int(os.environ.get("CHAOS_SEED") or secrets.randbelow(1_000_000))
    threads_at_once = int(os.environ.get("CHAOS_THREADS", _THREADS_AT_ONCE))
    _say(f"CHAOS_SEED={seed}")

    report = await raise_storm(tmp_path, runs=runs, threads_at_once=threads_at_once, seed=seed)

    _say(report.text())
    broken = {name: found for name, found in report.findings().items() if found}
    assert not broken, f"CHAOS_SEED={seed} broke {list(broken)}; the logs are in {tmp_path}"
    assert len(report.evidence.runs) == runs
    assert {fault.kind for fault in report.faults} == set(FaultKind), "the storm was too short to mean anything"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
