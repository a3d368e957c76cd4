"""How long a run pauses when its worker is killed: from SIGKILL to the next attempt's first event."""

import json
import os
import signal
import time
from typing import Final

from benchmarks.report import percentile, report
from benchmarks.sse_reader import get, post, read_stream
from benchmarks.stack import Stack, running_stack

_SAMPLES: Final = 12
_LEASE_SECONDS: Final = 3.0
_LONG: Final = json.dumps({"deltas": 2000, "interval_seconds": 0.05})


async def _one(stack: Stack) -> float:
    url = stack.gateway_url
    thread_id = (await post(url, "/api/agent/initiate", {}))["thread_id"]
    run_id = (await post(url, f"/api/agent/{thread_id}/execute", {"task": _LONG}))["run_id"]
    path = f"/api/agent/{thread_id}/runs/{run_id}"
    killed_at = 0.0
    stream = read_stream(url, f"{path}/stream")
    async for arrived, chunk in stream:
        if not killed_at and b"assistant_delta" in chunk:
            owner = (await get(url, f"{path}/why"))["owner"]
            os.kill(int(owner.split(":")[1]), signal.SIGKILL)
            killed_at = time.perf_counter()
        elif killed_at and b'"resumed"' in chunk:
            await post(url, f"{path}/cancel", {}, expected=202)
            await stream.aclose()
            return arrived - killed_at
    raise RuntimeError("the stream ended before the run was taken over")


async def measure() -> None:
    """Print the figure; the lease is the lower bound: a dead worker is only detected when it expires."""
    settings = {"BAUD_MODEM__LEASE_SECONDS": str(_LEASE_SECONDS), "BAUD_MODEM__RENEW_SECONDS": "1"}
    async with running_stack(workers=3, settings=settings) as stack:
        seconds = [await _one(stack) for _ in range(_SAMPLES)]
    p50, p95 = percentile(seconds, 0.5), percentile(seconds, 0.95)
    report(
        "takeover after SIGKILL",
        [
            ("p50", f"{p50:.2f} s", f"lease {_LEASE_SECONDS:g} s"),
            ("p95", f"{p95:.2f} s", f"aim: at most {_LEASE_SECONDS + 3:g} s (lease + 3 s)"),
        ],
        {"p50_s": p50, "p95_s": p95, "lease_s": _LEASE_SECONDS},
    )
