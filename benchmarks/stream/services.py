"""The servers under measurement, each a process of its own: Redis, Baud's gateway, and the plain one as baseline."""

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from baud.stack.embedded_redis import find_binary, prepare
from baud.stack.network import claim_port
from benchmarks.sse_reader import get
from benchmarks.stream.instrument import cpu_seconds
from shared.config import GatewayConfig

_HOST: Final = "127.0.0.1"
_START_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.05
# What a server may say about itself; limits per client would only measure themselves.
_UNLIMITED: Final = ("max_streams_per_client", "max_streams")


@dataclass(frozen=True, slots=True)
class Served:
    """A running server: where it answers, and its process."""

    url: str
    process: psutil.Process

    def cpu_seconds(self) -> float:
        """Return the CPU it has used since it began."""
        return cpu_seconds(self.process)

    def memory_bytes(self) -> int:
        """Return its resident memory now."""
        return int(self.process.memory_info().rss)


@asynccontextmanager
async def redis_server() -> AsyncIterator[Served]:
    """Run a Redis as `baud up` does, append-only file and all, but flushed each second; its folder goes with it.

    A flush of each write costs the same for every reader, and would hide the cost of reading.
    """
    with tempfile.TemporaryDirectory(prefix="baud-bench-") as folder:
        redis = prepare(Path(folder))
        config = redis.config().replace(b"appendfsync always", b"appendfsync everysec")
        async with _process([find_binary(), "-"], {}, stdin=config) as process:
            await _until(redis.answers)
            yield Served(redis.url, psutil.Process(process.pid))


@asynccontextmanager
async def baud_gateway(redis_url: str, settings: Mapping[str, str] | None = None) -> AsyncIterator[Served]:
    """Run `python -m gateway` on a free port, without limits on streams where it knows any."""
    port = claim_port(_HOST, 0)
    unlimited = {f"BAUD_GATEWAY__{name.upper()}": "0" for name in _UNLIMITED if name in GatewayConfig.model_fields}
    env = {"BAUD_REDIS__URL": redis_url, "REDIS_URL": redis_url, "BAUD_LOG__LEVEL": "ERROR", **unlimited}
    argv = [sys.executable, "-P", "-m", "gateway", "--host", _HOST, "--port", str(port)]
    async with _process(argv, {**env, **(settings or {})}) as process:
        url = f"http://{_HOST}:{port}"
        await _until(lambda: _is_ready(url))
        yield Served(url, psutil.Process(process.pid))


@asynccontextmanager
async def plain_gateway(redis_url: str) -> AsyncIterator[Served]:
    """Run the baseline, on the same Redis if need be."""
    argv = [sys.executable, "-m", "benchmarks.plain_gateway"]
    async with _process(argv, {"PLAIN_REDIS": redis_url}, stdout=asyncio.subprocess.PIPE) as process:
        assert process.stdout is not None
        async with asyncio.timeout(_START_SECONDS):
            url = (await process.stdout.readline()).decode().strip()
        yield Served(url, psutil.Process(process.pid))


async def _until(is_so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(_START_SECONDS):
        while not await is_so():  # noqa: ASYNC110 - another process can only be polled
            await asyncio.sleep(_POLL_SECONDS)


async def _is_ready(url: str) -> bool:
    try:
        await get(url, "/ready")
    except (OSError, RuntimeError):
        return False
    return True


@asynccontextmanager
async def _process(
    argv: list[str], env: Mapping[str, str], *, stdin: bytes = b"", stdout: int = asyncio.subprocess.DEVNULL
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Keep a process running inside the block; what is measured is over by then, so it is killed afterwards."""
    process = await asyncio.create_subprocess_exec(
        *argv, env={**os.environ, **env}, stdin=asyncio.subprocess.PIPE, stdout=stdout
    )
    assert process.stdin is not None
    try:
        process.stdin.write(stdin)
        process.stdin.close()
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
