"""From POST execute to the first event at the client, on an idle system, beside a bare Celery round trip."""

import asyncio
import json
import time
from typing import Final

from benchmarks.bare_celery import bare_worker, round_trips
from benchmarks.report import percentile, report
from benchmarks.sse_reader import post, read_stream
from benchmarks.stack import Stack, running_stack

_SAMPLES: Final = 100


async def _one(stack: Stack) -> float:
    thread_id = (await post(stack.gateway_url, "/api/agent/initiate", {}))["thread_id"]
    stream = read_stream(stack.gateway_url, f"/api/agent/{thread_id}/stream")
    async for _, chunk in stream:
        if b"event: waiting" in chunk:
            break
    began = time.perf_counter()
    execute = asyncio.create_task(
        post(stack.gateway_url, f"/api/agent/{thread_id}/execute", {"task": json.dumps({"deltas": 1})})
    )
    first = 0.0
    async for arrived, chunk in stream:
        first = first or (arrived - began if b"id: " in chunk else 0.0)
        if b"flow_completion" in chunk:
            break
    await execute
    await stream.aclose()
    return first


async def measure() -> None:
    """Print the figure."""
    async with running_stack() as stack:
        await _one(stack)
        seconds = [await _one(stack) for _ in range(_SAMPLES)]
        async with bare_worker(stack.redis_url):
            floor = await asyncio.to_thread(round_trips, stack.redis_url, _SAMPLES)
    p50, p95, bare = percentile(seconds, 0.5) * 1e3, percentile(seconds, 0.95) * 1e3, percentile(floor, 0.5) * 1e3
    report(
        "first event",
        [
            ("POST execute to first event, p50", f"{p50:.1f} ms", "aim: at most 10 ms"),
            ("POST execute to first event, p95", f"{p95:.1f} ms", ""),
            ("bare Celery round trip, p50", f"{bare:.1f} ms", f"ratio {p50 / bare:.1f}"),
        ],
        {"p50_ms": p50, "p95_ms": p95, "bare_p50_ms": bare, "ratio": p50 / bare},
    )
