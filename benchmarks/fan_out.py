"""One stream, 100 clients: how many deliveries a second a gateway makes when Redis is never the limit.

And what a delivery costs when events come one at a time, as those of an agent do.
"""

from dataclasses import dataclass
from typing import Final

from benchmarks.report import report
from benchmarks.stream.scene import Flow, Kind, Scene, scene, settle

_CLIENTS: Final = 100
_EVENTS: Final = 2000
_ROUNDS: Final = 3
_PER_SECOND: Final = 60.0  # one at a time
_SECONDS: Final = 8.0


@dataclass(frozen=True, slots=True)
class FanOut:
    """The deliveries of one gateway, and the CPU of each."""

    per_second: float
    cpu_us: float
    reader_load: float  # share of one core that the measuring client took


async def _round(here: Scene) -> FanOut:
    """Measure from the first write to the last arrival."""
    gateway, readers = here.gateway.cpu_seconds(), here.readers.cpu_seconds()
    wrote = await here.write(_EVENTS)
    seen = await here.arrive(_EVENTS * _CLIENTS)
    if seen["missed"] or seen["doubled"]:
        raise RuntimeError(f"{here.kind} gateway: missed {seen['missed']}, doubled {seen['doubled']}")
    seconds = (seen["last_ns"] - wrote["began_ns"]) / 1e9
    cpu_us = (here.gateway.cpu_seconds() - gateway) / seen["events"] * 1e6
    return FanOut(seen["events"] / seconds, cpu_us, (here.readers.cpu_seconds() - readers) / seconds)


async def _fan_out(kind: Kind) -> FanOut:
    async with scene(kind) as here:
        threads = await here.new_threads(1)
        await here.follow([threads[0]] * _CLIENTS)
        await here.write_to(threads)
        await settle()
        rounds = [await _round(here) for _ in range(_ROUNDS)]
    return sorted(rounds, key=lambda each: each.per_second)[_ROUNDS // 2]


async def _one_at_a_time(kind: Kind) -> Flow:
    async with scene(kind) as here:
        threads = await here.new_threads(1)
        await here.follow([threads[0]] * _CLIENTS)
        await here.write_to(threads)
        await settle()
        return await here.flow(per_second=_PER_SECOND, seconds=_SECONDS, each=_CLIENTS)


async def measure() -> None:
    """Print the median of three rounds, ours and the baseline's, and one steady flow of both."""
    ours, plain = await _fan_out(Kind.BAUD), await _fan_out(Kind.PLAIN)
    steady, plain_steady = await _one_at_a_time(Kind.BAUD), await _one_at_a_time(Kind.PLAIN)
    ratio, cost = ours.per_second / plain.per_second, steady.gateway_us / plain_steady.gateway_us
    report(
        f"fan-out: 1 stream, {_CLIENTS} clients",
        [
            ("deliveries/s", f"{ours.per_second:,.0f}", f"plain {plain.per_second:,.0f}"),
            ("against plain", f"{ratio:.1f}", "aim: at least 4"),
            ("CPU of the gateway per delivery", f"{ours.cpu_us:.1f} us", f"plain {plain.cpu_us:.1f} us"),
            ("the measuring client", f"{ours.reader_load:.0%} of a core", f"plain {plain.reader_load:.0%}"),
            (
                "events one at a time: CPU per delivery",
                f"{steady.gateway_us:.1f} us",
                f"aim: at most 9 us; plain {plain_steady.gateway_us:.1f} us",
            ),
            ("events one at a time: against plain", f"{cost:.2f}", "aim: at most 0.35"),
            ("events one at a time: p99", f"{steady.p99_ms:.1f} ms", f"plain {plain_steady.p99_ms:.1f} ms"),
        ],
        {
            "baud_per_s": ours.per_second, "plain_per_s": plain.per_second, "ratio": ratio,
            "baud_cpu_us": ours.cpu_us, "plain_cpu_us": plain.cpu_us,
            "baud_reader_load": ours.reader_load, "plain_reader_load": plain.reader_load,
            "baud_one_at_a_time_us": steady.gateway_us, "plain_one_at_a_time_us": plain_steady.gateway_us,
            "one_at_a_time_ratio": cost, "baud_one_at_a_time_p99_ms": steady.p99_ms,
        },
    )  # fmt: skip
