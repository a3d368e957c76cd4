"""One gateway with its Redis, its subscribers and its writer, and the cost of a steady flow of events."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from benchmarks.stream.instrument import Instrument, instrument
from benchmarks.stream.services import Served, baud_gateway, plain_gateway, redis_server
from benchmarks.stream.threads import make_threads
from shared.ids import new_id

_SEED: Final = 1
_ARRIVAL_SECONDS: Final = 30.0  # what may still be on its way after the last write
_WARM_UP_SECONDS: Final = 1.5
LIVE: Final = "live"


class Kind(StrEnum):
    """Which gateway is measured."""

    BAUD = "Baud"  # `python -m gateway`
    PLAIN = "plain"  # benchmarks.plain_gateway


@dataclass(frozen=True, slots=True)
class Flow:
    """What a steady flow of events cost: latencies from XADD to the client, CPU per event that was delivered."""

    events: int
    missed: int
    doubled: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    gateway_us: float
    redis_us: float
    reader_load: float  # share of one core that the measuring client took
    writer_late_ms: float  # p99 of how late the writer was

    @property
    def is_complete(self) -> bool:
        """Whether every event came once."""
        return self.missed == self.doubled == 0


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that runs for one measurement."""

    kind: Kind
    redis: Served
    gateway: Served
    readers: Instrument
    crowd: Instrument  # further readers, whose work must not delay what `readers` measures
    writer: Instrument

    async def new_threads(self, count: int) -> Sequence[str]:
        """Return ids whose streams can be requested; the plain gateway has no thread records."""
        if self.kind is Kind.PLAIN:
            return [new_id() for _ in range(count)]
        return await make_threads(self.gateway.url, count)

    async def follow(self, thread_ids: Sequence[str], *, group: str = LIVE) -> dict[str, Any]:
        """Open one stream for each id."""
        return await self.readers.ask("open", group=group, url=self.gateway.url, thread_ids=thread_ids)

    async def write_to(self, thread_ids: Sequence[str]) -> None:
        """Have the writer write to these threads from now on, numbering from zero."""
        await self.writer.ask("streams", redis_url=self.redis.url, thread_ids=thread_ids, seed=_SEED)

    async def write(self, count: int, per_second: float = 0.0) -> dict[str, Any]:
        """Write events, evenly or as fast as Redis takes them; return when the last is written."""
        return await self.writer.ask("write", count=count, per_second=per_second)

    async def arrive(self, events: int, *, group: str = LIVE) -> dict[str, Any]:
        """Wait until `events` events have arrived, and return the counts; raises RuntimeError when some are missing."""
        waited = await self.readers.ask("wait", group=group, events=events, seconds=_ARRIVAL_SECONDS)
        seen = await self.readers.ask("take", group=group)
        if not waited["complete"] or seen["errors"]:
            raise RuntimeError(f"{self.kind} gateway: {events} events were due to {group}; the readers saw {seen}")
        return seen

    async def flow(self, *, per_second: float, seconds: float, each: int = 1) -> Flow:
        """Write to the chosen threads at this pace, `each` clients on every stream; warmed up before."""
        await self.write(max(1, int(per_second * _WARM_UP_SECONDS)), per_second)
        await self.arrive(max(1, int(per_second * _WARM_UP_SECONDS)) * each)
        count = int(per_second * seconds)
        before = self._cpu()
        wrote = await self.write(count, per_second)
        seen = await self.arrive(count * each)
        gateway, redis, readers = (after - start for after, start in zip(self._cpu(), before, strict=True))
        return Flow(
            events=seen["events"], missed=seen["missed"], doubled=seen["doubled"],
            p50_ms=seen["p50_ms"], p95_ms=seen["p95_ms"], p99_ms=seen["p99_ms"],
            gateway_us=gateway / seen["events"] * 1e6, redis_us=redis / seen["events"] * 1e6,
            reader_load=readers / wrote["seconds"], writer_late_ms=wrote["late_p99_ms"],
        )  # fmt: skip

    def _cpu(self) -> tuple[float, float, float]:
        return self.gateway.cpu_seconds(), self.redis.cpu_seconds(), self.readers.cpu_seconds()


@asynccontextmanager
async def scene(kind: Kind, settings: Mapping[str, str] | None = None) -> AsyncIterator[Scene]:
    """Start everything with a Redis of its own; stop it afterwards."""
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(redis_server())
        gateway = await stack.enter_async_context(
            plain_gateway(redis.url) if kind is Kind.PLAIN else baud_gateway(redis.url, settings)
        )
        readers = await stack.enter_async_context(instrument("benchmarks.stream.readers"))
        crowd = await stack.enter_async_context(instrument("benchmarks.stream.readers"))
        writer = await stack.enter_async_context(instrument("benchmarks.stream.writer"))
        yield Scene(kind, redis, gateway, readers, crowd, writer)


async def settle(seconds: float = 0.5) -> None:
    """Wait until newly opened connections are idle."""
    await asyncio.sleep(seconds)
