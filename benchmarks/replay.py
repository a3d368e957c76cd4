"""A log of 10,000 events, read by one client as fast as it can, then by 100 at once beside live streams."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.report import report
from benchmarks.stream.scene import LIVE, Kind, Scene, scene, settle

_STORED: Final = 10_000
_ROUNDS: Final = 5
_CROWD: Final[Mapping[Kind, int]] = {Kind.BAUD: 100, Kind.PLAIN: 20}  # clients; the plain one would take minutes
_CROWD_SECONDS: Final = 120.0  # at most
_LIVE_STREAMS: Final = 20
_LIVE_PER_SECOND: Final = 200.0  # of all of them
_LIVE_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True)
class Replay:
    """How fast a log is read, and the latency of live streams meanwhile."""

    one_per_second: float
    crowd_per_second: float
    live_alone_ms: float  # p99 of the live streams before
    live_beside_ms: float  # p99 while the crowd reads


def _rate(began_ns: int, seen: dict[str, Any]) -> float:
    if seen["missed"] or seen["doubled"]:
        raise RuntimeError(f"a replay missed {seen['missed']} and doubled {seen['doubled']}")
    return float(seen["events"] / (seen["last_ns"] - began_ns) * 1e9)


async def _one(here: Scene, thread_id: str) -> float:
    opened = await here.follow([thread_id], group="one")
    seen = await here.arrive(_STORED, group="one")
    await here.readers.ask("close", group="one")
    return _rate(opened["began_ns"], seen)


async def _beside(here: Scene, thread_id: str) -> tuple[float, float]:
    """Return what the crowd gets per second, and the live streams' p99 in milliseconds until it has all."""
    clients = _CROWD[here.kind]
    opened = await here.crowd.ask("open", group="crowd", url=here.gateway.url, thread_ids=[thread_id] * clients)
    wrote, waited = 0, {"complete": False}
    until = time.monotonic() + _CROWD_SECONDS
    while not waited["complete"] and time.monotonic() < until:
        wrote += (await here.write(int(_LIVE_PER_SECOND), _LIVE_PER_SECOND))["written"]
        waited = await here.crowd.ask("wait", group="crowd", events=_STORED * clients, seconds=0.0)
    if not waited["complete"]:
        raise RuntimeError(f"{clients} clients had not read {_STORED} events each within {_CROWD_SECONDS:g} s")
    seen = await here.crowd.ask("take", group="crowd")
    live = await here.arrive(int(wrote))
    return _rate(opened["began_ns"], seen), float(live["p99_ms"])


async def _replay(kind: Kind) -> Replay:
    async with scene(kind) as here:
        stored, *live = await here.new_threads(1 + _LIVE_STREAMS)
        await here.write_to([stored])
        await here.write(_STORED)
        await _one(here, stored)
        one = sorted([await _one(here, stored) for _ in range(_ROUNDS)])[_ROUNDS // 2]
        await here.follow(live, group=LIVE)
        await here.write_to(live)
        await settle()
        alone = await here.flow(per_second=_LIVE_PER_SECOND, seconds=_LIVE_SECONDS)
        crowd, beside_ms = await _beside(here, stored)
    return Replay(one, crowd, alone.p99_ms, beside_ms)


async def measure() -> None:
    """Print the figures, ours and the baseline's."""
    ours, plain = await _replay(Kind.BAUD), await _replay(Kind.PLAIN)
    report(
        f"replay of {_STORED:,} events",
        [
            (
                "to one client",
                f"{ours.one_per_second:,.0f} events/s",
                f"at least 100,000; plain {plain.one_per_second:,.0f}",
            ),
            (
                f"to {_CROWD[Kind.BAUD]} at once (plain: {_CROWD[Kind.PLAIN]})",
                f"{ours.crowd_per_second:,.0f} events/s",
                f"plain {plain.crowd_per_second:,.0f}",
            ),
            ("p99 of live streams alone", f"{ours.live_alone_ms:.1f} ms", f"plain {plain.live_alone_ms:.1f} ms"),
            (
                "p99 of live streams meanwhile",
                f"{ours.live_beside_ms:.1f} ms",
                f"at most 50 ms; plain {plain.live_beside_ms:.1f} ms",
            ),
        ],
        {
            f"{name}_{figure}": float(getattr(result, figure))
            for name, result in (("baud", ours), ("plain", plain))
            for figure in ("one_per_second", "crowd_per_second", "live_alone_ms", "live_beside_ms")
        },
    )  # fmt: skip
