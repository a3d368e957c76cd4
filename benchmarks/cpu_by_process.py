"""Where the CPU goes when 50 runs of 200 deltas go through at once: of each process, for each delta."""

import asyncio
import json
import time
from typing import Final

import psutil

from benchmarks.in_process_server import in_process_server
from benchmarks.report import report
from benchmarks.sse_reader import post
from benchmarks.stack import Processes, running_stack
from benchmarks.stream.instrument import Instrument, cpu_seconds, instrument
from benchmarks.stream.threads import make_threads

_RUNS: Final = 50
_DELTAS: Final = 200
_ROUNDS: Final = 3
_LIMIT_SECONDS: Final = 60.0
_TASK: Final = json.dumps({"deltas": _DELTAS, "text": "stamped"})


async def _round(url: str, readers: Instrument, group: str) -> None:
    threads = await make_threads(url, _RUNS)
    await readers.ask("open", group=group, url=url, thread_ids=threads)
    await asyncio.gather(*(post(url, f"/api/agent/{thread}/execute", {"task": _TASK}) for thread in threads))
    waited = await readers.ask("wait", group=group, events=_RUNS * _DELTAS, seconds=_LIMIT_SECONDS)
    await readers.ask("close", group=group)
    if not waited["complete"]:
        raise RuntimeError(f"{waited['events']} deltas arrived, {_RUNS * _DELTAS} were sent")


async def _cost(url: str, processes: Processes) -> dict[str, float]:
    """Return the microseconds of each process for each delta, and the share of its time that a core was busy for it."""
    async with instrument("benchmarks.stream.readers") as readers:
        await _round(url, readers, "warm-up")
        before = {name: sum(map(cpu_seconds, group)) for name, group in processes.items()}
        client, began = readers.cpu_seconds(), time.perf_counter()
        for number in range(_ROUNDS):
            await _round(url, readers, f"round {number}")
        taken = time.perf_counter() - began
        used = {name: sum(map(cpu_seconds, group)) - before[name] for name, group in processes.items()}
        used["measuring client"] = readers.cpu_seconds() - client
    deltas = _RUNS * _DELTAS * _ROUNDS
    costs = {f"{name}_us": seconds / deltas * 1e6 for name, seconds in used.items()}
    return costs | {f"{name}_load": seconds / taken for name, seconds in used.items()}


async def measure() -> None:
    """Print the figures; the baseline is an agent inside the web process, which dies with it."""
    results: dict[str, dict[str, float]] = {}
    for name, coalesce in (("each delta an event", "false"), ("coalesced", "true")):
        # Kept, so that every piece can be counted: the complete message would replace the last ones.
        settings = {"BAUD_STREAM__COALESCE_DELTAS": coalesce, "BAUD_STREAM__DROP_DELTAS": "false"}
        async with running_stack(workers=2, settings=settings) as stack:
            results[name] = await _cost(stack.gateway_url, stack.processes())
    async with in_process_server() as url:
        server = [child for child in psutil.Process().children() if "benchmarks.in_process_server" in child.cmdline()]
        results["in the web process"] = await _cost(url, {"web process": server})
    rows = [
        (f"{name}: {key.removesuffix('_us')}", f"{cost:.0f} us per delta", f"{costs[f'{key[:-3]}_load']:.0%} of a core")
        for name, costs in results.items()
        for key, cost in costs.items()
        if key.endswith("_us")
    ]
    figures = {f"{name}: {key}": value for name, costs in results.items() for key, value in costs.items()}
    report(f"CPU by process, {_RUNS} runs x {_DELTAS} deltas", rows, figures)
