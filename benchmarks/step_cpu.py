"""CPU of Baud's own per agent step: model call, tool call, journal. The model costs nothing; LiteLLM is not used."""

import json
from typing import Final

from benchmarks.report import report
from benchmarks.sse_reader import post, read_stream
from benchmarks.stack import Stack, running_stack

_STEPS: Final = 90
_SINGLE_RUNS: Final = 20  # the kernel counts CPU in steps of 10 ms


async def _run(stack: Stack, tool_steps: int) -> None:
    thread_id = (await post(stack.gateway_url, "/api/agent/initiate", {}))["thread_id"]
    task = json.dumps({"deltas": 1, "tool_steps": tool_steps})
    await post(stack.gateway_url, f"/api/agent/{thread_id}/execute", {"task": task})
    async for _, chunk in read_stream(stack.gateway_url, f"/api/agent/{thread_id}/stream"):
        if b"flow_completion" in chunk:
            return


def _cpu_seconds(stack: Stack) -> float:
    times = [process.cpu_times() for process in stack.services("modem")]
    return sum(each.user + each.system for each in times)


async def measure() -> None:
    """Print the figure; the baseline is a run of a single step, claim and end included."""
    settings = {"BAUD_AGENT__MAX_REPEATS": "1000"}
    async with running_stack(settings=settings) as stack:
        await _run(stack, _STEPS)
        before = _cpu_seconds(stack)
        await _run(stack, _STEPS)
        steps = _cpu_seconds(stack) - before
        before = _cpu_seconds(stack)
        for _ in range(_SINGLE_RUNS):
            await _run(stack, 0)
        single = (_cpu_seconds(stack) - before) / _SINGLE_RUNS
    per_step = (steps - single) / _STEPS * 1e3
    report(
        "own CPU per agent step",
        [
            ("CPU of the worker per step", f"{per_step:.2f} ms", "aim: at most 5 ms"),
            ("a complete run of one step", f"{single * 1e3:.1f} ms", "baseline"),
        ],
        {"per_step_ms": per_step, "single_run_ms": single * 1e3},
    )
