"""A rolling restart of all workers under constant load: what it costs, and that nothing is lost or done twice."""

import tempfile
from pathlib import Path
from typing import Final

from benchmarks.report import percentile, report
from tests.chaos.rolling_restart import restart_one_by_one

_MODEMS: Final = 3
_ROUNDS: Final = 2
_CLIENTS: Final = 24
_SEED: Final = 1
# The checks that are shown one by one; the others share a row.
_SHOWN: Final = (
    "runs lost",
    "runs with not exactly one flow_completion",
    "effects done twice",
    "calls that a completed run left open",
    "events that a client missed",
    "events that a client saw twice",
    "model answers paid twice",
    "runs taken over instead of handed over",
    "workers that did not exit with 0",
)


async def measure() -> None:
    """Print the figures; a hand-over has to be quicker than waiting for a lease of 3 s."""
    with tempfile.TemporaryDirectory(prefix="baud-bench-") as folder:
        restart = await restart_one_by_one(Path(folder), modems=_MODEMS, rounds=_ROUNDS, clients=_CLIENTS, seed=_SEED)
    counts = {name: len(found) for name, found in restart.findings().items()}
    runs, events = len(restart.evidence.runs), sum(len(run.entries) for run in restart.evidence.runs)
    p50, p95 = (percentile(restart.hand_over_seconds, share) for share in (0.5, 0.95))
    exit_max = max(ending.seconds for ending in restart.endings)
    codes = ", ".join(str(ending.code) for ending in restart.endings)
    others = sum(count for name, count in counts.items() if name not in _SHOWN)
    rows = [
        ("runs, events", f"{runs}, {events}", f"{_CLIENTS} clients, {restart.seconds:.0f} s"),
        ("runs handed over", str(restart.hand_overs), ""),
        *((name, str(counts[name]), "aim: 0") for name in _SHOWN),
        ("any other check failed", str(others), "aim: 0"),
        ("SIGTERM to the next attempt, p50, p95", f"{p50:.2f} s, {p95:.2f} s", "lease 3 s"),
        ("exit codes", codes, "aim: 0 each"),
        ("SIGTERM to exit, longest", f"{exit_max:.1f} s", "modem.drain_timeout 3 s"),
    ]
    figures = {"runs": runs, "hand_overs": restart.hand_overs, "p50_s": p50, "p95_s": p95, "exit_max_s": exit_max}
    report(
        f"{_MODEMS} workers restarted one after the other, {_ROUNDS} times",
        rows,
        figures | {name.replace(" ", "_"): count for name, count in counts.items()},
    )
