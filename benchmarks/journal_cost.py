"""What lease and journal cost: the same runs with them and without, in interleaved rounds on two stacks."""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from baud.stack.local_stack import LocalStack
from baud.stack_options import StackCommands, StackOptions
from benchmarks.report import percentile, report
from benchmarks.sse_reader import post, read_stream
from benchmarks.stack import TALKER

_ROUNDS: Final = 9
_RUNS: Final = 20
_STEPS: Final = 12
_STEP_DELTAS: Final = 25
_TASK: Final = json.dumps({"tool_steps": _STEPS, "step_deltas": _STEP_DELTAS, "deltas": _STEP_DELTAS})
# Nothing is renewed while the worker without a lease is measured.
_NO_RENEWAL: Final = {"BAUD_MODEM__LEASE_SECONDS": "3600", "BAUD_MODEM__RENEW_SECONDS": "1200"}


@dataclass(slots=True)
class _Variant:
    """One stack and what was measured on it, round by round."""

    name: str
    url: str
    processes: list[psutil.Process]
    events_per_second: list[float] = field(default_factory=list)
    cpu_per_event: list[float] = field(default_factory=list)

    def cpu_seconds(self) -> float:
        """CPU of worker and Redis so far."""
        times = [process.cpu_times() for process in self.processes]
        return sum(each.user + each.system for each in times)


async def _run(url: str) -> int:
    """Run one task and return how many events it had."""
    thread_id = (await post(url, "/api/agent/initiate", {}))["thread_id"]
    await post(url, f"/api/agent/{thread_id}/execute", {"task": _TASK})
    events, rest = 0, b""
    async for _, chunk in read_stream(url, f"/api/agent/{thread_id}/stream"):
        rest += chunk
        frames, _, rest = rest.rpartition(b"\n\n")
        events += frames.count(b"event: task_agent_execute")
        if b"flow_completion" in frames:
            if b'"stop_reason":"completed"' not in frames:
                raise RuntimeError(f"a run did not complete: {frames[-500:]!r}")
            return events
    raise RuntimeError("a stream ended before its run did")


async def _round(variant: _Variant) -> None:
    cpu, began = variant.cpu_seconds(), time.perf_counter()
    events = sum(await asyncio.gather(*(_run(variant.url) for _ in range(_RUNS))))
    variant.events_per_second.append(events / (time.perf_counter() - began))
    variant.cpu_per_event.append((variant.cpu_seconds() - cpu) / events)


@asynccontextmanager
async def _variant(name: str, module: str, settings: dict[str, str]) -> AsyncIterator[_Variant]:
    """Keep a stack with one worker of this module running."""
    common = {"BAUD_LOG__LEVEL": "WARNING", "BAUD_AGENT__MAX_REPEATS": "1000"}
    with tempfile.TemporaryDirectory(prefix="baud-bench-") as folder, (Path(folder) / "output").open("w") as output:
        options = StackOptions(
            data_dir=Path(folder), port=0, model=TALKER, commands=StackCommands(modem=(sys.executable, "-m", module))
        )
        before = set(psutil.Process().children())
        env = {**os.environ, **common, **settings}
        async with LocalStack(options, env=env, report=lambda _: None, output=output.fileno()) as stack:
            started = [process for process in psutil.Process().children() if process not in before]
            measured = [each for each in started if module in each.cmdline() or "redis" in each.name()]
            yield _Variant(name, stack.url, measured)


async def _compare(coalesce: str) -> tuple[_Variant, _Variant]:
    settings = {"BAUD_STREAM__COALESCE_DELTAS": coalesce}
    async with (
        _variant("with", "modem", settings) as kept,
        _variant("without", "benchmarks.modem_without_journal", settings | _NO_RENEWAL) as plain,
    ):
        for variant in (kept, plain):
            await _round(variant)
            variant.events_per_second.clear()
            variant.cpu_per_event.clear()
        for number in range(_ROUNDS):
            # Each is first as often as second, so that disturbances of the machine affect both alike.
            for variant in (kept, plain) if number % 2 else (plain, kept):
                await _round(variant)
    return kept, plain


def _cost(with_it: Sequence[float], without: Sequence[float]) -> float:
    """Return the median over pairs of neighbouring rounds, which had the same machine load."""
    return percentile([1 - each / plain for each, plain in zip(with_it, without, strict=True)], 0.5)


async def measure() -> None:
    """Print the figures; the baseline is the worker that only sends its events."""
    rows: list[tuple[str, str, str]] = []
    figures: dict[str, float] = {}
    for name, coalesce in (("each delta an event", "false"), ("coalesced", "true")):
        kept, plain = await _compare(coalesce)
        rate, plain_rate = percentile(kept.events_per_second, 0.5), percentile(plain.events_per_second, 0.5)
        cpu, plain_cpu = percentile(kept.cpu_per_event, 0.5) * 1e6, percentile(plain.cpu_per_event, 0.5) * 1e6
        cost = _cost(kept.events_per_second, plain.events_per_second)
        cpu_cost = -_cost(kept.cpu_per_event, plain.cpu_per_event)
        key = name.replace(" ", "_")
        figures |= {f"{key}_per_s": rate, f"{key}_plain_per_s": plain_rate, f"{key}_cost": cost}
        figures |= {f"{key}_cpu_us": cpu, f"{key}_plain_cpu_us": plain_cpu, f"{key}_cpu_cost": cpu_cost}
        rows.append((f"{name}: events/s", f"{rate:,.0f}, cost {cost:.0%}", f"without {plain_rate:,.0f}; aim: 15 %"))
        shown = f"{cpu:.0f} us, cost {cpu_cost:.0%}"
        rows.append((f"{name}: CPU of worker and Redis per event", shown, f"without {plain_cpu:.0f} us; aim: 15 %"))
    report(f"lease and journal, {_RUNS} runs of {_STEPS} calls and {_STEP_DELTAS} deltas a step", rows, figures)
