"""The stack under measurement: `baud up` in a process of its own, and its child processes."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from benchmarks.stream.instrument import cpu_seconds

TALKER: Final = "python:benchmarks.scripted_talker:make_talker"
WORST_TALKER: Final = "python:benchmarks.scripted_talker:make_worst_talker"
_READY: Final = re.compile(r"baud ready gateway=(\S+) redis=(\S+)")
_START_SECONDS: Final = 60


Processes = Mapping[str, Sequence[psutil.Process]]


@dataclass(frozen=True, slots=True)
class Stack:
    """A running stack: where it answers and which processes it consists of."""

    gateway_url: str
    redis_url: str
    process_id: int

    def services(self, module: str) -> list[psutil.Process]:
        """Return the processes that were started with `-m module`."""
        children = psutil.Process(self.process_id).children(recursive=True)
        return [child for child in children if module in child.cmdline() and "-m" in child.cmdline()]

    def processes(self) -> Processes:
        """Return all processes that carry out runs, by what they are."""
        children = psutil.Process(self.process_id).children(recursive=True)
        redis = [child for child in children if child.name() in ("redis-server", "valkey-server")]
        return {"gateway": self.services("gateway"), "modems": self.services("modem"), "Redis": redis}

    def cpu_seconds(self) -> float:
        """Return the CPU that all of them have used."""
        return sum(cpu_seconds(process) for group in self.processes().values() for process in group)


@asynccontextmanager
async def running_stack(
    *, workers: int = 1, model: str = TALKER, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Stack]:
    """Start a stack with the scripted model, or another, and further `BAUD_…` settings; stop it afterwards."""
    with _folder() as folder:
        errors = (Path(folder) / "stderr").open("w+")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "baud", "up", "--port", "0", "--workers", str(workers), "--data-dir", folder,
            "--model", model,
            env={**os.environ, "BAUD_LOG__LEVEL": "WARNING", **(settings or {})},
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
        )  # fmt: skip
        try:
            yield await _ready(process, Path(folder))
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            if await process.wait() != 0:
                errors.seek(0)
                sys.stderr.write(errors.read())
            errors.close()


@contextmanager
def _folder() -> Iterator[str]:
    folder = tempfile.mkdtemp(prefix="baud-bench-")
    try:
        yield folder
    finally:
        subprocess.run(["rm", "-rf", folder], check=True)  # Python's own recursion ends at a thousand nested folders


async def _ready(process: asyncio.subprocess.Process, folder: Path) -> Stack:
    assert process.stdout is not None
    async with asyncio.timeout(_START_SECONDS):
        line = (await process.stdout.readline()).decode()
    match = _READY.search(line)
    if match is None:
        raise RuntimeError(f"the stack did not start; it printed {line!r}")
    redis_url = match[2]
    password = folder / "redis" / "password"
    if password.exists():
        redis_url = redis_url.replace("redis://", f"redis://:{password.read_text().strip()}@")
    return Stack(match[1], redis_url, process.pid)
