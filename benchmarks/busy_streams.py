"""200 streams of 20 events a second each, one client on every one: the way from XADD to the client."""

from typing import Final

from benchmarks.report import report
from benchmarks.stream.scene import Flow, Kind, scene, settle

_STREAMS: Final = 200
_EVENTS_PER_SECOND: Final = 20.0  # of each stream
_SECONDS: Final = 8.0


async def _flow(kind: Kind) -> Flow:
    async with scene(kind) as here:
        threads = await here.new_threads(_STREAMS)
        await here.follow(threads)
        await here.write_to(threads)
        await settle()
        return await here.flow(per_second=_STREAMS * _EVENTS_PER_SECOND, seconds=_SECONDS)


async def measure() -> None:
    """Print the figures, ours and the baseline's."""
    flows = {kind: await _flow(kind) for kind in Kind}
    ours, plain = flows[Kind.BAUD], flows[Kind.PLAIN]
    figures = {
        f"{kind.lower()}_{name}": float(getattr(flow, name))
        for kind, flow in flows.items()
        for name in ("p50_ms", "p95_ms", "p99_ms", "gateway_us", "redis_us", "missed", "doubled", "reader_load")
    }
    report(
        f"{_STREAMS} streams x {_EVENTS_PER_SECOND:g} events/s",
        [
            ("XADD to client, p50", f"{ours.p50_ms:.1f} ms", f"aim: at most 3 ms; plain {plain.p50_ms:.1f} ms"),
            ("XADD to client, p99", f"{ours.p99_ms:.1f} ms", f"aim: at most 15 ms; plain {plain.p99_ms:.1f} ms"),
            ("CPU of the gateway per event", f"{ours.gateway_us:.0f} us", f"plain {plain.gateway_us:.0f} us"),
            ("CPU of Redis per event", f"{ours.redis_us:.0f} us", f"plain {plain.redis_us:.0f} us"),
            ("missed, doubled", f"{ours.missed}, {ours.doubled}", f"plain {plain.missed}, {plain.doubled}"),
            ("writer late by, p99", f"{ours.writer_late_ms:.1f} ms", f"plain {plain.writer_late_ms:.1f} ms"),
        ],
        figures,
    )
