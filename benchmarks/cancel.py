"""How soon a run stops when it is cancelled: from POST cancel to the run's end at a client that follows it."""

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Final

import psutil

from benchmarks.report import percentile, report
from benchmarks.sse_reader import post, read_stream
from benchmarks.stack import Stack, running_stack

_AT_ONCE: Final = 20  # runs in the worker while one after the other is cancelled
_GROUPS: Final = 3
_SECONDS: Final = "86399"  # of the command; a number to find its process by
_TALKS: Final = (json.dumps({"deltas": 100_000, "interval_seconds": 0.05}), b"assistant_delta")
# The command itself prints the marker, so it is running by then.
_COMMANDS: Final = (json.dumps({"tool_steps": 1, "command": f"echo be''gun; sleep {_SECONDS}"}), b"begun")


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Seconds from the request to its answer, and to the end of the run at the client."""

    answered: float
    ended: float


class _Running:
    """One run that is in the middle of a step."""

    def __init__(self, stack: Stack, task: str, marker: bytes) -> None:
        self._url = stack.gateway_url
        self._task = task
        self._marker = marker
        self._is_busy = asyncio.Event()
        self._path = ""

    async def follow(self) -> float:
        """Start the run and read its events; return when its end came."""
        thread_id = (await post(self._url, "/api/agent/initiate", {}))["thread_id"]
        run_id = (await post(self._url, f"/api/agent/{thread_id}/execute", {"task": self._task}))["run_id"]
        self._path = f"/api/agent/{thread_id}/runs/{run_id}"
        seen = b""
        async for arrived, chunk in read_stream(self._url, f"{self._path}/stream"):
            seen = seen[-4096:] + chunk
            if self._marker in seen:
                self._is_busy.set()
            if b'"stop_reason":"cancelled"' in seen:
                return arrived
        raise RuntimeError("the stream ended before the run was cancelled")

    async def cancel(self, following: asyncio.Task[float]) -> Cancelled:
        """Cancel it once it is busy."""
        await self._is_busy.wait()
        began = time.perf_counter()
        await post(self._url, f"{self._path}/cancel", {}, expected=202)
        answered = time.perf_counter()
        return Cancelled(answered - began, await following - began)


async def _group(stack: Stack, task: str, marker: bytes) -> list[Cancelled]:
    """Start runs together, and cancel one after the other when all are busy."""
    runs = [_Running(stack, task, marker) for _ in range(_AT_ONCE)]
    following = [asyncio.create_task(run.follow()) for run in runs]
    return [await run.cancel(end) for run, end in zip(runs, following, strict=True)]


def _commands_left(stack: Stack) -> int:
    children = psutil.Process(stack.process_id).children(recursive=True)
    return sum(_SECONDS in child.cmdline() for child in children)


async def measure() -> None:
    """Print the figures; the floor is the request itself, until it is answered."""
    found: dict[str, list[Cancelled]] = {"in a model call": [], "in a bash command": []}
    async with running_stack() as stack:
        for _ in range(_GROUPS):
            for name, (task, marker) in zip(found, (_TALKS, _COMMANDS), strict=True):
                found[name] += await _group(stack, task, marker)
        if left := _commands_left(stack):
            raise RuntimeError(f"{left} commands outlived their runs")
    rows: list[tuple[str, str, str]] = []
    figures: dict[str, float] = {}
    for name, each in {**found, "all": [one for many in found.values() for one in many]}.items():
        p50, p95 = (percentile([one.ended for one in each], share) * 1e3 for share in (0.5, 0.95))
        floor = percentile([one.answered for one in each], 0.5) * 1e3
        key = name.replace(" ", "_")
        figures |= {f"{key}_p50_ms": p50, f"{key}_p95_ms": p95, f"{key}_request_p50_ms": floor}
        rows.append(
            (
                f"{name}: p50, p95 of {len(each)}",
                f"{p50:.0f} ms, {p95:.0f} ms",
                f"aim: p95 at most 300 ms; request {floor:.0f} ms",
            )
        )
    report(f"cancel of a run among {_AT_ONCE}, POST to end at the client", rows, figures)
