"""A measuring process: one JSON line on its standard input is a request, one on its output the answer."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import psutil

_LINE_LIMIT: Final = 2**24
_ANSWER_SECONDS: Final = 120.0


class Instrument:
    """One such process; `ask` waits for its answer, so questions never overlap."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._cpu = psutil.Process(process.pid)

    async def ask(self, question: str, *, limit_seconds: float = _ANSWER_SECONDS, **details: object) -> dict[str, Any]:
        """Return the answer; raises RuntimeError when the process has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"ask": question, **details}).encode() + b"\n")
        async with asyncio.timeout(limit_seconds):
            line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a measuring process ended when it was asked to {question}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def cpu_seconds(self) -> float:
        """Return the CPU it has used, to tell whether the instrument limits a figure."""
        return cpu_seconds(self._cpu)


def cpu_seconds(process: psutil.Process) -> float:
    """Return the CPU that a process has used since it began, in user code and in the kernel."""
    times = process.cpu_times()
    return float(times.user + times.system)


@asynccontextmanager
async def instrument(module: str) -> AsyncIterator[Instrument]:
    """Keep a measuring process running inside the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=_LINE_LIMIT
    )
    try:
        yield Instrument(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
