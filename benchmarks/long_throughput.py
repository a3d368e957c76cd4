"""50 runs at once, 2,000 deltas each, two workers: the throughput that later commits are compared by."""

from typing import Final

from benchmarks.report import percentile, report
from benchmarks.stack import running_stack
from benchmarks.throughput import RUNS, one_round

DELTAS: Final = 2000
_WARM_UP_DELTAS: Final = 200


async def measure() -> None:
    """Print deltas per second and CPU, each delta an event and coalesced."""
    rows: list[tuple[str, str, str]] = []
    figures: dict[str, float] = {}
    for name, coalesce, aim_us in (("each_delta_an_event", "false", 80), ("coalesced", "true", 55)):
        # Kept, so that every piece can be counted: the complete message would replace the last ones.
        settings = {"BAUD_STREAM__COALESCE_DELTAS": coalesce, "BAUD_STREAM__DROP_DELTAS": "false"}
        async with running_stack(workers=2, settings=settings) as stack:
            await one_round(stack.gateway_url, _WARM_UP_DELTAS)
            used = stack.cpu_seconds()
            result = await one_round(stack.gateway_url, DELTAS)
            cpu_us = (stack.cpu_seconds() - used) / (RUNS * DELTAS) * 1e6
        first = percentile(result.first_event_seconds, 0.95)
        figures |= {f"{name}_per_s": result.deltas_per_second, f"{name}_first_p95_s": first, f"{name}_cpu_us": cpu_us}
        words = name.replace("_", " ")
        rows.append((f"{words}: deltas/s", f"{result.deltas_per_second:,.0f}", "aim: 95 % of before (make compare)"))
        rows.append((f"{words}: first event p95", f"{first:.3f} s", ""))
        rows.append((f"{words}: CPU of all services per delta", f"{cpu_us:.1f} us", f"aim: at most {aim_us} us"))
    report(f"{RUNS} runs x {DELTAS:,} deltas, 2 workers", rows, figures)
