"""One run of 100 deltas a second on an idle system: how late each reaches its client.

Redis flushes each second here: with a flush before each answer the disk decides, which is measured beside it.
"""

from typing import Final

from redis.asyncio import Redis

from benchmarks.paced_runs import SETTINGS, Delivery, deliver
from benchmarks.report import report
from benchmarks.stack import running_stack

_PER_SECOND: Final = 100


async def _alone(flush: str) -> Delivery:
    async with running_stack(settings=SETTINGS) as stack:
        async with Redis.from_url(stack.redis_url) as redis:
            await redis.config_set("appendfsync", flush)
        return await deliver(stack.gateway_url, 1, _PER_SECOND, stack.cpu_seconds)


async def measure() -> None:
    """Print the figures."""
    each_second, always = await _alone("everysec"), await _alone("always")
    rows = [
        ("model to client, p50", f"{each_second.p50_ms:.1f} ms", "aim: at most 2 ms"),
        ("model to client, p99", f"{each_second.p99_ms:.1f} ms", "aim: at most 6 ms"),
        ("the same, flushed always: p50, p99", f"{always.p50_ms:.1f} ms, {always.p99_ms:.1f} ms", ""),
        ("lost or doubled", f"{each_second.lost + always.lost}", "aim: 0"),
    ]
    report(f"one run x {_PER_SECOND} events/s", rows, each_second.figures("each_second") | always.figures("always"))
