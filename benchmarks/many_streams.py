"""One client on each of many streams, two events a second each: CPU of every event and its way to the client.

The writer spreads its events evenly in time, so that a gateway that batches them gains nothing from bursts.
"""

from collections.abc import Mapping
from typing import Final

from benchmarks.report import report
from benchmarks.stream.scene import Flow, Kind, scene, settle

TITLE: Final = "many streams"
_EVENTS_PER_SECOND: Final = 2.0  # of each stream
_SECONDS: Final = 6.0
_SATURATED_MS: Final = 1000.0
_STREAMS: Final[Mapping[Kind, tuple[int, ...]]] = {Kind.BAUD: (500, 1000, 2000, 4000), Kind.PLAIN: (500, 1000, 2000)}


async def _flow(kind: Kind, streams: int) -> Flow:
    async with scene(kind) as here:
        threads = await here.new_threads(streams)
        await here.follow(threads)
        await here.write_to(threads)
        await settle()
        return await here.flow(per_second=streams * _EVENTS_PER_SECOND, seconds=_SECONDS)


def _note(flow: Flow) -> str:
    """Return a note on what makes the figures of this flow unreliable."""
    if not flow.is_complete:
        return f"; MISSED {flow.missed}, DOUBLED {flow.doubled}"
    # A gateway that is seconds late sends events in large batches: CPU per event falls and says nothing.
    return "; SATURATED" if flow.p99_ms > _SATURATED_MS else ""


def _row(kind: Kind, streams: int, flow: Flow) -> tuple[str, str, str]:
    return (
        f"{kind}: {streams:,} streams",
        f"gateway {flow.gateway_us:.0f} us, Redis {flow.redis_us:.0f} us; "
        f"p50 {flow.p50_ms:.1f}, p99 {flow.p99_ms:.1f} ms",
        f"reader {flow.reader_load:.0%} of a core, writer late by {flow.writer_late_ms:.1f} ms (p99)" + _note(flow),
    )


def _ratios(flows: Mapping[tuple[Kind, int], Flow]) -> list[tuple[str, str, str]]:
    ours, plain, most = flows[Kind.BAUD, 1000], flows[Kind.PLAIN, 1000], flows[Kind.BAUD, 4000]
    return [
        (
            "CPU of the gateway, 1,000 streams, against plain",
            f"{ours.gateway_us / plain.gateway_us:.2f}",
            "at most 0.6",
        ),
        ("CPU of Redis, 1,000 streams, against plain", f"{ours.redis_us / plain.redis_us:.2f}", "at most 0.6"),
        ("p99 of 1,000 streams", f"{ours.p99_ms:.1f} ms", f"at most 3 ms; plain {plain.p99_ms:.1f} ms"),
        ("CPU of the gateway, 4,000 against 1,000", f"{most.gateway_us / ours.gateway_us:.2f}", "at most 1.3"),
        ("CPU of Redis, 4,000 against 1,000", f"{most.redis_us / ours.redis_us:.2f}", "at most 1.3"),
        ("p99 of 4,000 streams", f"{most.p99_ms:.1f} ms", "at most 5 ms"),
    ]


async def measure() -> None:
    """Print the figures of each number of streams, ours and the baseline's."""
    flows = {(kind, streams): await _flow(kind, streams) for kind in Kind for streams in _STREAMS[kind]}
    rows = _ratios(flows) + [_row(kind, streams, flow) for (kind, streams), flow in flows.items()]
    figures: dict[str, float] = {}
    for (kind, streams), flow in flows.items():
        name = f"{kind.lower()}_{streams}"
        figures |= {
            f"{name}_gateway_us": flow.gateway_us, f"{name}_redis_us": flow.redis_us, f"{name}_p50_ms": flow.p50_ms,
            f"{name}_p95_ms": flow.p95_ms, f"{name}_p99_ms": flow.p99_ms,
            f"{name}_lost": flow.missed + flow.doubled, f"{name}_reader_load": flow.reader_load,
        }  # fmt: skip
    report(TITLE, rows, figures)
