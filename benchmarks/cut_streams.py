"""200 clients on 200 live runs through two gateways, cut at random bytes and resumed: how many streams arrive complete.

`BENCH_SEED` repeats the moments and the cuts of a run.
"""

import asyncio
import json
import os
import random
import time
from typing import Final

from benchmarks.report import report
from benchmarks.sse_reader import post
from benchmarks.stack import Stack, running_stack
from benchmarks.stream.cut_client import CutClient
from benchmarks.stream.find_fault import find_fault, read_log
from benchmarks.stream.services import baud_gateway, plain_gateway
from benchmarks.stream.threads import make_threads
from shared.config import StreamConfig

_RUNS: Final = 200
_DELTAS: Final = 80
_INTERVAL_SECONDS: Final = 0.1
_JOIN_SECONDS: Final = 6.0  # clients connect at any moment within
_CUTS: Final = 4
_MOST_BYTES: Final = 8192  # of one connection that is cut
_LIMIT_SECONDS: Final = 120.0
_SETTINGS: Final = {"BAUD_STREAM__COALESCE_DELTAS": "false"}
# What is measured, whether deltas leave the log, and whether the plain gateway (the baseline) is used.
_CASES: Final = (
    ("deltas stay in the log", False, False),
    ("deltas leave the log", True, False),
    ("plain gateway", False, True),
)
_TASK: Final = json.dumps({"deltas": _DELTAS, "interval_seconds": _INTERVAL_SECONDS, "text": "numbered"})


def drop_settings(*, drops: bool) -> dict[str, str]:
    """Return the setting that lets deltas leave the log, where the gateway knows it."""
    return {"BAUD_STREAM__DROP_DELTAS": str(drops).lower()} if "drop_deltas" in StreamConfig.model_fields else {}


async def _join(thread_id: str, urls: list[str], seed: str) -> CutClient:
    rng = random.Random(seed)
    await asyncio.sleep(rng.uniform(0, _JOIN_SECONDS))
    client = CutClient(thread_id, urls, rng)
    await client.follow(_CUTS, _MOST_BYTES)
    return client


async def _faults(stack: Stack, seed: int, *, drops: bool, is_plain: bool = False) -> tuple[list[str], int]:
    """Return what was wrong with each incomplete stream, and how often connections were cut."""
    async with (plain_gateway if is_plain else baud_gateway)(stack.redis_url) as other:
        # The plain gateway cannot start runs: only the clients use it.
        urls = [other.url] if is_plain else [stack.gateway_url, other.url]
        threads = await make_threads(stack.gateway_url, _RUNS)
        clients = [asyncio.create_task(_join(thread, urls, f"{seed}:{place}")) for place, thread in enumerate(threads)]
        await asyncio.gather(
            *(post(stack.gateway_url, f"/api/agent/{thread}/execute", {"task": _TASK})
              for thread in threads)
        )  # fmt: skip
        async with asyncio.timeout(_LIMIT_SECONDS):
            finished = await asyncio.gather(*clients)
    logs = await read_log(stack.redis_url, threads)
    faults = [find_fault(client.seen, log, drops_deltas=drops) for client, log in zip(finished, logs, strict=True)]
    return [fault for fault in faults if fault], sum(client.cuts for client in finished)


async def measure() -> None:
    """Print how many streams were complete in each case."""
    seed = int(os.environ.get("BENCH_SEED") or time.time())
    rows: list[tuple[str, str, str]] = []
    figures: dict[str, float] = {"seed": seed}
    for name, drops, is_plain in _CASES:
        settings = drop_settings(drops=drops)
        if drops and not settings:
            continue
        async with running_stack(workers=2, settings=_SETTINGS | settings) as stack:
            faults, cuts = await _faults(stack, seed, drops=drops, is_plain=is_plain)
        rows.append((f"{name}: complete streams", f"{_RUNS - len(faults)} of {_RUNS}", f"aim: all; {cuts} cuts"))
        rows += [("", fault, "") for fault in faults[:3]]
        figures[name.replace(" ", "_")] = _RUNS - len(faults)
    rows.append(("seed", str(seed), ""))
    report(f"{_RUNS} cut clients, 2 gateways, 2 workers", rows, figures)
