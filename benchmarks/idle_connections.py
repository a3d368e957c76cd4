"""10,000 clients that wait, each on a thread of its own: memory, CPU, and the latency of live streams beside them.

The baseline holds fewer, since each of them takes a connection to Redis; its figures are per connection.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from benchmarks.report import report
from benchmarks.stream.scene import LIVE, Kind, Scene, scene, settle

TITLE: Final = "idle connections"
_IDLE: Final = "idle"
_CONNECTIONS: Final[Mapping[Kind, int]] = {Kind.BAUD: 10_000, Kind.PLAIN: 1000}
_QUIET_SECONDS: Final[Mapping[Kind, float]] = {Kind.BAUD: 30.0, Kind.PLAIN: 15.0}  # two heartbeats of each, and one
_LIVE_STREAMS: Final = 20
_LIVE_PER_SECOND: Final = 200.0  # of all of them
_LIVE_SECONDS: Final = 4.0


@dataclass(frozen=True, slots=True)
class Idleness:
    """What waiting clients cost."""

    connections: int
    kilobytes_each: float
    core_share: float
    live_alone_ms: float  # p99 of the live streams before the others came
    live_beside_ms: float  # and beside them


async def _idleness(kind: Kind) -> Idleness:
    count = _CONNECTIONS[kind]
    async with scene(kind) as here:
        live = await here.new_threads(_LIVE_STREAMS)
        await here.follow(live, group=LIVE)
        await here.write_to(live)
        await settle()
        alone = await here.flow(per_second=_LIVE_PER_SECOND, seconds=_LIVE_SECONDS)
        threads = await here.new_threads(count)
        before = here.gateway.memory_bytes()
        await here.follow(threads, group=_IDLE)
        await settle(3.0)
        kilobytes = (here.gateway.memory_bytes() - before) / count / 1000
        core_share = await _quiet(here)
        beside = await here.flow(per_second=_LIVE_PER_SECOND, seconds=_LIVE_SECONDS)
        await _check_all_wait(here)
    return Idleness(count, kilobytes, core_share, alone.p99_ms, beside.p99_ms)


async def _quiet(here: Scene) -> float:
    """Return the share of a core that the gateway takes while nothing but heartbeats is sent."""
    began, before = time.perf_counter(), here.gateway.cpu_seconds()
    await asyncio.sleep(_QUIET_SECONDS[here.kind])
    return (here.gateway.cpu_seconds() - before) / (time.perf_counter() - began)


async def _check_all_wait(here: Scene) -> None:
    seen = await here.readers.ask("take", group=_IDLE)
    if seen["closed"] or seen["errors"]:
        raise RuntimeError(f"of the idle connections {seen['closed']} were closed, {seen['errors']} got an error")


async def measure() -> None:
    """Print the figures, ours and the baseline's."""
    ours, plain = await _idleness(Kind.BAUD), await _idleness(Kind.PLAIN)
    per_thousand = plain.core_share / plain.connections * 1000
    report(
        TITLE,
        [
            ("connections", f"{ours.connections:,}", f"plain {plain.connections:,}"),
            ("memory of each", f"{ours.kilobytes_each:.1f} KB", f"at most 30 KB; plain {plain.kilobytes_each:.1f} KB"),
            (
                "CPU of all, heartbeats on",
                f"{ours.core_share:.1%} of a core",
                f"at most 5 %; plain {per_thousand:.1%} per 1,000",
            ),
            ("p99 of live streams alone", f"{ours.live_alone_ms:.1f} ms", f"plain {plain.live_alone_ms:.1f} ms"),
            (
                "p99 of live streams beside them",
                f"{ours.live_beside_ms:.1f} ms",
                f"aim: less than twice that alone; plain {plain.live_beside_ms:.1f} ms",
            ),
        ],
        {
            f"{name}_{figure}": float(getattr(result, figure))
            for name, result in (("baud", ours), ("plain", plain))
            for figure in ("connections", "kilobytes_each", "core_share", "live_alone_ms", "live_beside_ms")
        },
    )  # fmt: skip
