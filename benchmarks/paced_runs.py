"""50 runs of 50 deltas a second each, through two workers: whether every delta arrives, and how late.

The first seconds are left out: `first_event` measures how runs begin.
"""

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Final

from benchmarks.in_process_server import in_process_server
from benchmarks.report import report
from benchmarks.sse_reader import post
from benchmarks.stack import running_stack
from benchmarks.stream.instrument import instrument
from benchmarks.stream.threads import make_threads

_RUNS: Final = 50
_PER_SECOND: Final = 50  # of each run
_LEFT_OUT_SECONDS: Final = 2
_SECONDS: Final = 8
_LIMIT_SECONDS: Final = 60.0
# Every delta an event of its own, written as soon as the model sends it, and kept, so that every one can be counted.
_SETTINGS: Final = {
    "BAUD_STREAM__COALESCE_DELTAS": "false",
    "BAUD_STREAM__FLUSH_INTERVAL": "0",
    "BAUD_STREAM__DROP_DELTAS": "false",
}


@dataclass(frozen=True, slots=True)
class Delivery:
    """What arrived of the measured seconds, and how long after the model sent it."""

    per_second: float
    lost: int
    p50_ms: float
    p95_ms: float
    p99_ms: float


async def _deliver(url: str) -> Delivery:
    threads = await make_threads(url, _RUNS)
    left_out, measured = (_RUNS * _PER_SECOND * seconds for seconds in (_LEFT_OUT_SECONDS, _SECONDS))
    deltas = _PER_SECOND * (_LEFT_OUT_SECONDS + _SECONDS)
    task = json.dumps({"deltas": deltas, "interval_seconds": 1 / _PER_SECOND, "text": "stamped"})
    async with instrument("benchmarks.stream.readers") as readers:
        await readers.ask("open", group="runs", url=url, thread_ids=threads)
        await asyncio.gather(*(post(url, f"/api/agent/{thread_id}/execute", {"task": task}) for thread_id in threads))
        await readers.ask("wait", group="runs", events=left_out, seconds=_LIMIT_SECONDS)
        before = await readers.ask("take", group="runs")
        began_ns = time.time_ns()
        due = left_out + measured - before["events"]
        waited = await readers.ask("wait", group="runs", events=due, seconds=_LIMIT_SECONDS)
        seen = await readers.ask("take", group="runs")
    lost = due - waited["events"] + seen["missed"] + seen["doubled"] + before["missed"] + before["doubled"]
    per_second = seen["events"] / (seen["last_ns"] - began_ns) * 1e9
    return Delivery(per_second, lost, seen["p50_ms"], seen["p95_ms"], seen["p99_ms"])


async def measure() -> None:
    """Print the figures; the baseline is an agent inside the web process, which dies with it."""
    async with running_stack(workers=2, settings=_SETTINGS) as stack:
        ours = await _deliver(stack.gateway_url)
    async with in_process_server() as url:
        plain = await _deliver(url)
    aim = _RUNS * _PER_SECOND
    report(
        f"{_RUNS} runs x {_PER_SECOND} events/s, 2 workers",
        [
            (
                "delivered per second",
                f"{ours.per_second:,.0f}",
                f"aim: {aim:,}; in the web process {plain.per_second:,.0f}",
            ),
            ("lost or doubled", f"{ours.lost}", f"aim: 0; in the web process {plain.lost}"),
            ("model to client, p50", f"{ours.p50_ms:.1f} ms", f"in the web process {plain.p50_ms:.1f} ms"),
            (
                "model to client, p99",
                f"{ours.p99_ms:.1f} ms",
                f"at most 10 ms; in the web process {plain.p99_ms:.1f} ms",
            ),
        ],
        {
            f"{name}_{figure}": float(getattr(result, figure))
            for name, result in (("baud", ours), ("in_process", plain))
            for figure in ("per_second", "lost", "p50_ms", "p95_ms", "p99_ms")
        },
    )  # fmt: skip
