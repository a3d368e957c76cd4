"""50 runs of 50 deltas a second each, through two workers: whether every delta arrives, and how late.

The first seconds are left out: `first_event` measures how runs begin.
"""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Final

from benchmarks.in_process_server import in_process_server
from benchmarks.report import report
from benchmarks.sse_reader import post
from benchmarks.stack import running_stack
from benchmarks.stream.instrument import instrument
from benchmarks.stream.threads import make_threads

_RUNS: Final = 50
_PER_SECOND: Final = 50  # of each run
_AIM_P99_MS: Final = 30
_LEFT_OUT_SECONDS: Final = 2
_SECONDS: Final = 8
_LIMIT_SECONDS: Final = 60.0
# Every delta an event of its own, and kept, so that every one can be counted.
SETTINGS: Final = {"BAUD_STREAM__COALESCE_DELTAS": "false", "BAUD_STREAM__DROP_DELTAS": "false"}


@dataclass(frozen=True, slots=True)
class Delivery:
    """What arrived of the measured seconds, and how long after the model sent it."""

    per_second: float
    lost: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    cpu_us: float  # of all services, for each delta; 0 where it is not measured

    def figures(self, name: str) -> dict[str, float]:
        """Return all of it under this name."""
        return {f"{name}_{field.name}": float(getattr(self, field.name)) for field in fields(self)}


async def deliver(url: str, runs: int, per_second: int, cpu_seconds: Callable[[], float] = lambda: 0.0) -> Delivery:
    """Follow so many runs at this pace each; `cpu_seconds` returns what the services have used so far."""
    threads = await make_threads(url, runs)
    left_out, measured = (runs * per_second * seconds for seconds in (_LEFT_OUT_SECONDS, _SECONDS))
    deltas = per_second * (_LEFT_OUT_SECONDS + _SECONDS)
    task = json.dumps({"deltas": deltas, "interval_seconds": 1 / per_second, "text": "stamped"})
    async with instrument("benchmarks.stream.readers") as readers:
        await readers.ask("open", group="runs", url=url, thread_ids=threads)
        await asyncio.gather(*(post(url, f"/api/agent/{thread_id}/execute", {"task": task}) for thread_id in threads))
        await readers.ask("wait", group="runs", events=left_out, seconds=_LIMIT_SECONDS)
        before, used = await readers.ask("take", group="runs"), cpu_seconds()
        began_ns = time.time_ns()
        due = left_out + measured - before["events"]
        waited = await readers.ask("wait", group="runs", events=due, seconds=_LIMIT_SECONDS)
        seen, used = await readers.ask("take", group="runs"), cpu_seconds() - used
    lost = due - waited["events"] + seen["missed"] + seen["doubled"] + before["missed"] + before["doubled"]
    rate = seen["events"] / (seen["last_ns"] - began_ns) * 1e9
    return Delivery(rate, lost, seen["p50_ms"], seen["p95_ms"], seen["p99_ms"], used / seen["events"] * 1e6)


async def measure() -> None:
    """Print the figures; the baseline is an agent inside the web process, which dies with it."""
    async with running_stack(workers=2, settings=SETTINGS) as stack:
        ours = await deliver(stack.gateway_url, _RUNS, _PER_SECOND, stack.cpu_seconds)
    async with in_process_server() as url:
        plain = await deliver(url, _RUNS, _PER_SECOND)
    rows = [
        (
            "delivered per second",
            f"{ours.per_second:,.0f}",
            f"aim: {_RUNS * _PER_SECOND:,}; in the web process {plain.per_second:,.0f}",
        ),
        ("lost or doubled", f"{ours.lost}", f"aim: 0; in the web process {plain.lost}"),
        ("model to client, p50", f"{ours.p50_ms:.1f} ms", f"in the web process {plain.p50_ms:.1f} ms"),
        (
            "model to client, p99",
            f"{ours.p99_ms:.1f} ms",
            f"aim: at most {_AIM_P99_MS} ms; in the web process {plain.p99_ms:.1f} ms",
        ),
        ("CPU of all services per delta", f"{ours.cpu_us:.0f} us", "aim: not above the commit before (make compare)"),
    ]
    report(
        f"{_RUNS} runs x {_PER_SECOND} events/s, 2 workers", rows, ours.figures("baud") | plain.figures("in_process")
    )
