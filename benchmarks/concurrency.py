"""300 runs that wait for their model at once in one worker process: time beside the ideal, memory of each run."""

import asyncio
import json
import time
from typing import Final

from benchmarks.report import report
from benchmarks.sse_reader import post, read_stream
from benchmarks.stack import Stack, running_stack

_RUNS: Final = 300
_WAIT_SECONDS: Final = 20.0


async def _run(stack: Stack) -> None:
    thread_id = (await post(stack.gateway_url, "/api/agent/initiate", {}))["thread_id"]
    task = json.dumps({"deltas": 1, "interval_seconds": _WAIT_SECONDS})
    await post(stack.gateway_url, f"/api/agent/{thread_id}/execute", {"task": task})
    async for _, chunk in read_stream(stack.gateway_url, f"/api/agent/{thread_id}/stream"):
        if b"flow_completion" in chunk:
            return


def _megabytes(stack: Stack) -> float:
    return float(sum(process.memory_info().rss for process in stack.services("modem"))) / 1e6


async def measure() -> None:
    """Print the figures; the ideal is one model call, as if each run had its own machine."""
    async with running_stack() as stack:
        before = _megabytes(stack)
        began = time.perf_counter()
        runs = [asyncio.create_task(_run(stack)) for _ in range(_RUNS)]
        await asyncio.sleep(_WAIT_SECONDS * 0.8)
        during = _megabytes(stack)
        await asyncio.gather(*runs)
        taken = time.perf_counter() - began
    per_run, ratio = (during - before) / _RUNS, taken / _WAIT_SECONDS
    report(
        f"{_RUNS} runs at once in one worker",
        [
            ("time to the last end", f"{taken:.1f} s", f"ideal {_WAIT_SECONDS:g} s; ratio {ratio:.2f}, aim 1.10"),
            ("memory of each run", f"{per_run:.2f} MB", "aim: at most 1.5 MB"),
        ],
        {"taken_s": taken, "ratio": ratio, "mb_per_run": per_run},
    )
