"""50 runs at once, 200 deltas each, two workers: deltas per second at the clients, and the time to the first event."""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.in_process_server import in_process_server
from benchmarks.report import percentile, report
from benchmarks.sse_reader import post, read_stream
from benchmarks.stack import running_stack

RUNS: Final = 50
DELTAS: Final = 200
ROUNDS: Final = 3


@dataclass(frozen=True, slots=True)
class Throughput:
    """The result of one round."""

    deltas_per_second: float
    first_event_seconds: Sequence[float]


async def _follow(url: str, path: str, is_open: asyncio.Event) -> tuple[float, float, int]:
    """Return the times of the first and the last event, and the number of text pieces between them."""
    first, pieces, rest = 0.0, 0, b""
    async for arrived, chunk in read_stream(url, path):
        is_open.set()
        if not first and b"\nid: " in b"\n" + chunk:
            first = arrived
        data = rest + chunk
        end = data.rfind(b"\n\n") + 2
        frames, rest = data[:end], data[end:]
        pieces += sum(frame.count(b"token ") for frame in frames.split(b"\n\n") if b"assistant_delta" in frame)
        if b"flow_completion" in frames:
            return first, arrived, pieces
    raise RuntimeError("a stream ended before its run did")


async def one_round(url: str, deltas: int) -> Throughput:
    """Run all tasks with `deltas` deltas each; raises RuntimeError unless every one of them arrives."""
    threads = [(await post(url, "/api/agent/initiate", {}))["thread_id"] for _ in range(RUNS)]
    opened = [asyncio.Event() for _ in threads]
    streams = [
        asyncio.create_task(_follow(url, f"/api/agent/{thread}/stream", is_open))
        for thread, is_open in zip(threads, opened, strict=True)
    ]
    await asyncio.gather(*(is_open.wait() for is_open in opened))
    task = json.dumps({"deltas": deltas})
    posted: dict[str, float] = {}

    async def execute(thread: str) -> None:
        posted[thread] = time.perf_counter()
        await post(url, f"/api/agent/{thread}/execute", {"task": task})

    began = time.perf_counter()
    await asyncio.gather(*(execute(thread) for thread in threads))
    arrived = await asyncio.gather(*streams)
    pieces = sum(count for _, _, count in arrived)
    if pieces != RUNS * deltas:
        raise RuntimeError(f"{pieces} pieces arrived, {RUNS * deltas} were sent")
    ended = max(last for _, last, _ in arrived)
    firsts = [first - posted[thread] for thread, (first, _, _) in zip(threads, arrived, strict=True)]
    return Throughput(pieces / (ended - began), firsts)


async def _best(url: str) -> Throughput:
    await one_round(url, DELTAS)
    rounds = [await one_round(url, DELTAS) for _ in range(ROUNDS)]
    return sorted(rounds, key=lambda each: each.deltas_per_second)[len(rounds) // 2]


async def measure() -> None:
    """Print the figures; the baseline is an agent inside the web process, which dies with it."""
    results: dict[str, Throughput] = {}
    for name, coalesce in (("each delta an event", "false"), ("coalesced", "true")):
        # Kept, so that every piece can be counted: the complete message would replace the last ones.
        settings = {"BAUD_STREAM__COALESCE_DELTAS": coalesce, "BAUD_STREAM__DROP_DELTAS": "false"}
        async with running_stack(workers=2, settings=settings) as stack:
            results[name] = await _best(stack.gateway_url)
    async with in_process_server() as url:
        results["baseline: agent inside the web process"] = await _best(url)
    rows: list[tuple[str, str, str]] = []
    figures: dict[str, float] = {}
    for name, result in results.items():
        p50, p95 = (percentile(result.first_event_seconds, share) for share in (0.5, 0.95))
        key = name.split(":")[0].replace(" ", "_")
        figures |= {f"{key}_per_s": result.deltas_per_second, f"{key}_first_p50_s": p50, f"{key}_first_p95_s": p95}
        rows.append((f"{name}: deltas/s", f"{result.deltas_per_second:,.0f}", "aim: 13,000 each, durable"))
        rows.append((f"{name}: first event p50, p95", f"{p50:.3f} s, {p95:.3f} s", "aim: p95 at most 0.25 s"))
    report(f"{RUNS} runs x {DELTAS} deltas, 2 workers", rows, figures)
