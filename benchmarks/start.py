"""Start times: the gateway's import, and `baud run` from nothing to its first event."""

import asyncio
import os
import sys
import tempfile
import time
from typing import Final

from benchmarks.report import percentile, report

_SAMPLES: Final = 5
# VmHWM, because getrusage would count memory from before the exec.
_IMPORT: Final = (
    "import time; began = time.perf_counter(); import {module}; taken = time.perf_counter() - began\n"
    "line = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
    "print(taken, int(line.split()[1]) / 1024)"
)


async def _import_cost(module: str) -> tuple[float, float]:
    """Return the median seconds and the megabytes of a process that imports a module."""
    seconds, megabytes = [], []
    for _ in range(_SAMPLES):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _IMPORT.format(module=module), stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        taken, used = out.decode().split()
        seconds.append(float(taken))
        megabytes.append(float(used))
    return percentile(seconds, 0.5), percentile(megabytes, 0.5)


async def _first_event() -> float:
    """Return the seconds from the start of `baud run` to its first line of output."""
    with tempfile.TemporaryDirectory(prefix="baud-bench-") as folder:
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "baud", "run", "--json", "--data-dir", folder, "Say hello",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, "BAUD_LLM__MODEL": "offline/demo"},
        )  # fmt: skip
        assert process.stdout is not None
        await process.stdout.readline()
        first = time.perf_counter() - began
        await process.communicate()
    return first


async def measure() -> None:
    """Print the figures."""
    gateway, gateway_mb = await _import_cost("gateway.core.main")
    fastapi, fastapi_mb = await _import_cost("fastapi")
    litellm, _ = await _import_cost("litellm")
    await _first_event()
    first = percentile([await _first_event() for _ in range(3)], 0.5)
    report(
        "start",
        [
            ("import gateway.core.main", f"{gateway:.2f} s", f"aim: at most 0.6 s; fastapi alone {fastapi:.2f} s"),
            ("memory after it", f"{gateway_mb:.0f} MB", f"aim: at most 90 MB; fastapi alone {fastapi_mb:.0f} MB"),
            ("baud run to its first event", f"{first:.1f} s", f"aim: at most 2.5 s; import of litellm {litellm:.1f} s"),
        ],
        {
            "gateway_import_s": gateway, "gateway_mb": gateway_mb, "fastapi_import_s": fastapi,
            "fastapi_mb": fastapi_mb, "run_first_event_s": first, "litellm_import_s": litellm,
        },
    )  # fmt: skip
