"""`python -m benchmarks.soak`: clients that come and go for a long time through two gateways, beside real runs.

Nothing may be missed or doubled, and the memory of the gateways must stay flat. `MINUTES` (20) says how long,
`SOAK_SEED` repeats a run's choices. Ends with 1 when something was wrong.
"""

import asyncio
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from benchmarks.cut_streams import drop_settings
from benchmarks.report import report
from benchmarks.sse_reader import post
from benchmarks.stack import Stack, running_stack
from benchmarks.stream.cut_client import CutClient
from benchmarks.stream.find_fault import find_fault, read_log
from benchmarks.stream.instrument import Instrument, instrument
from benchmarks.stream.memory_slope import MemoryWatch, Slope
from benchmarks.stream.services import baud_gateway
from benchmarks.stream.threads import make_threads

_CLIENTS: Final = 500
_THREADS: Final = 100
_PER_SECOND: Final = 300.0  # paced events of all threads
_CYCLE_SECONDS: Final = 5
_BURST: Final = 500  # events at once after each cycle
_RUNS_AT_ONCE: Final = 8
_RUN: Final = json.dumps({"deltas": 100, "interval_seconds": 0.05, "text": "numbered"})
_RUN_CUTS: Final = 2
_MOST_BYTES: Final = 16_384
_ARRIVAL_SECONDS: Final = 60.0
# Normal variation of a heap; a leak of 1 KB per visit shows as 30 MB in 20 minutes.
_MOST_GROWTH_MB: Final = 10.0


@dataclass(slots=True)
class Findings:
    """What was counted; `faults` are sentences about incomplete runs."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slopes: Mapping[str, Slope] = field(default_factory=dict)

    def verdicts(self) -> list[tuple[str, str, bool]]:
        """Return each check, its measurement, and whether it passed."""
        counts = self.counts
        wrong = ("missed", "doubled", "errors", "unfinished")
        kept = [(f"events {name}", f"{counts[name]:,}", counts[name] == 0) for name in wrong[:2]]
        kept += [(name, f"{counts[name]:,}", counts[name] == 0) for name in wrong[2:]]
        kept.append(("events delivered", f"{counts['events']:,}", counts["events"] > 0))
        runs = counts["runs"]
        kept.append(("runs seen complete", f"{runs - len(self.faults)} of {runs}", runs > 0 and not self.faults))
        for name, slope in self.slopes.items():
            if name.startswith("gateway"):
                text = f"{slope.first_mb:.0f} to {slope.last_mb:.0f} MB, {slope.mb_per_hour:+.1f} MB/h"
                kept.append((f"memory of {name}", text, slope.growth_mb <= _MOST_GROWTH_MB))
        return kept


@dataclass(frozen=True, slots=True)
class Soak:
    """Everything that runs."""

    stack: Stack
    urls: list[str]
    visitors: Instrument
    writer: Instrument
    memory: MemoryWatch
    rng: random.Random
    findings: Findings


@asynccontextmanager
async def _soak(seed: int) -> AsyncIterator[Soak]:
    async with AsyncExitStack() as resources:
        settings = {"BAUD_STREAM__COALESCE_DELTAS": "false"} | drop_settings(drops=True)
        stack = await resources.enter_async_context(running_stack(workers=2, settings=settings))
        other = await resources.enter_async_context(baud_gateway(stack.redis_url, settings))
        visitors = await resources.enter_async_context(instrument("benchmarks.stream.visitors"))
        writer = await resources.enter_async_context(instrument("benchmarks.stream.writer"))
        processes = {"gateway 1": stack.services("gateway")[0], "gateway 2": other.process}
        processes |= {f"modem {place}": process for place, process in enumerate(stack.services("modem"), 1)}
        memory = MemoryWatch(processes)
        watching = asyncio.create_task(memory.run())
        resources.callback(watching.cancel)
        urls = [stack.gateway_url, other.url]
        yield Soak(stack, urls, visitors, writer, memory, random.Random(seed), Findings())


async def _keep_running(soak: Soak, until: float) -> None:
    """Let one run follow the other, each followed by a client that is cut."""
    while time.monotonic() < until:
        [thread_id] = await make_threads(soak.urls[0], 1)
        client = CutClient(thread_id, soak.urls, soak.rng)
        following = asyncio.create_task(client.follow(_RUN_CUTS, _MOST_BYTES))
        await post(soak.rng.choice(soak.urls), f"/api/agent/{thread_id}/execute", {"task": _RUN})
        async with asyncio.timeout(_ARRIVAL_SECONDS):
            await following
        [log] = await read_log(soak.stack.redis_url, [thread_id])
        soak.findings.counts["runs"] += 1
        fault = find_fault(client.seen, log, drops_deltas=bool(drop_settings(drops=True)))
        if fault:
            soak.findings.faults.append(f"{thread_id}: {fault}")


async def _keep_writing(soak: Soak, until: float) -> None:
    """Write evenly, then a burst, again and again; the counts of the visitors are collected meanwhile."""
    while time.monotonic() < until:
        for count, per_second in ((int(_PER_SECOND * _CYCLE_SECONDS), _PER_SECOND), (_BURST, 0.0)):
            await soak.writer.ask("write", count=count, per_second=per_second)
            soak.findings.counts["written"] += count
        soak.findings.counts.update(await soak.visitors.ask("take"))


async def _run(minutes: float, seed: int) -> Findings:
    async with _soak(seed) as soak:
        threads = await make_threads(soak.urls[0], _THREADS)
        await soak.writer.ask("streams", redis_url=soak.stack.redis_url, thread_ids=threads, seed=seed)
        await soak.visitors.ask("begin", urls=soak.urls, thread_ids=threads, clients=_CLIENTS, seed=seed)
        until = time.monotonic() + minutes * 60
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_keep_writing(soak, until))
            for _ in range(_RUNS_AT_ONCE):
                tasks.create_task(_keep_running(soak, until))
        due = await soak.writer.ask("written")
        soak.findings.counts.update(await soak.visitors.ask("end", due=due, seconds=_ARRIVAL_SECONDS))
        soak.findings.counts.update(await soak.visitors.ask("take"))
        soak.findings.slopes = soak.memory.slopes()
    return soak.findings


def _print(findings: Findings, minutes: float, seed: int) -> None:
    rows = [(what, measured, "kept" if is_kept else "BROKEN") for what, measured, is_kept in findings.verdicts()]
    rows += [("", fault, "") for fault in findings.faults[:5]]
    rows += [
        (name, f"{count:,}", "") for name, count in sorted(findings.counts.items()) if name not in ("runs", "events")
    ]
    for name, slope in findings.slopes.items():
        growth = f"{slope.growth_mb:+.1f} MB along the fitted line"
        rows.append((f"growth of {name}", growth, f"at most {_MOST_GROWTH_MB:g} MB" if "gateway" in name else ""))
    figures = {name: float(count) for name, count in findings.counts.items()}
    figures |= {f"{name} MB/h": slope.mb_per_hour for name, slope in findings.slopes.items()}
    report(f"soak of {minutes:g} minutes, {_CLIENTS} clients, seed {seed}", rows, {"seed": seed, **figures})


def main() -> int:
    """Run the soak; return 1 when a check failed."""
    minutes, seed = float(os.environ.get("MINUTES") or 20), int(os.environ.get("SOAK_SEED") or time.time())
    sys.stdout.write(f"soak: {minutes:g} minutes, seed {seed}\n")
    sys.stdout.flush()
    findings = asyncio.run(_run(minutes, seed))
    _print(findings, minutes, seed)
    return 0 if all(is_kept for _, _, is_kept in findings.verdicts()) else 1


if __name__ == "__main__":
    sys.exit(main())
