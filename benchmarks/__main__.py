"""`python -m benchmarks [NAME …]`: run all benchmarks, or those named."""

import asyncio
import sys
import traceback
from collections.abc import Awaitable, Callable
from typing import Final

from benchmarks import (
    busy_streams,
    cancel,
    concurrency,
    cpu_by_process,
    cut_streams,
    fan_out,
    file_tools,
    first_event,
    idle_connections,
    journal_cost,
    lone_run,
    long_throughput,
    many_streams,
    one_input,
    paced_runs,
    replay,
    rolling_restart,
    start,
    step_cpu,
    takeover,
    throughput,
    verify_token,
)

_BENCHMARKS: Final[dict[str, Callable[[], Awaitable[None]]]] = {
    "start": start.measure,
    "first_event": first_event.measure,
    "throughput": throughput.measure,
    "long_throughput": long_throughput.measure,
    "step_cpu": step_cpu.measure,
    "journal_cost": journal_cost.measure,
    "takeover": takeover.measure,
    "rolling_restart": rolling_restart.measure,
    "cancel": cancel.measure,
    "concurrency": concurrency.measure,
    "cpu_by_process": cpu_by_process.measure,
    "fan_out": fan_out.measure,
    "many_streams": many_streams.measure,
    "busy_streams": busy_streams.measure,
    "idle_connections": idle_connections.measure,
    "replay": replay.measure,
    "one_input": one_input.measure,
    "paced_runs": paced_runs.measure,
    "lone_run": lone_run.measure,
    "cut_streams": cut_streams.measure,
    "file_tools": file_tools.measure,
    "verify_token": verify_token.measure,
}


def main(names: list[str]) -> int:
    """Run the benchmarks one after the other, the rest too if one fails: then return 1; 2 for an unknown name."""
    unknown = [name for name in names if name not in _BENCHMARKS]
    if unknown:
        sys.stderr.write(f"no benchmark {', '.join(unknown)}; there are: {', '.join(_BENCHMARKS)}\n")
        return 2
    failed: list[str] = []
    for name in names or list(_BENCHMARKS):
        try:
            asyncio.run(_BENCHMARKS[name]())  # type: ignore[arg-type]  # each is a coroutine function
        except Exception:  # noqa: BLE001 # one failed benchmark must not hide the others
            traceback.print_exc()
            failed.append(name)
    if failed:
        sys.stderr.write(f"failed: {', '.join(failed)}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
