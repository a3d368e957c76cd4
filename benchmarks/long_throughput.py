"""50 runs at once, 2,000 deltas each, two workers: the throughput that later commits are compared by."""

from typing import Final

from benchmarks.report import percentile, report
from benchmarks.stack import running_stack
from benchmarks.throughput import RUNS, one_round

DELTAS: Final = 2000
_WARM_UP_DELTAS: Final = 200


async def measure() -> None:
    """Print deltas per second, each delta an event and coalesced."""
    rows: list[tuple[str, str, str]] = []
    figures: dict[str, float] = {}
    for name, coalesce in (("each_delta_an_event", "false"), ("coalesced", "true")):
        # Kept, so that every piece can be counted: the complete message would replace the last ones.
        settings = {"BAUD_STREAM__COALESCE_DELTAS": coalesce, "BAUD_STREAM__DROP_DELTAS": "false"}
        async with running_stack(workers=2, settings=settings) as stack:
            await one_round(stack.gateway_url, _WARM_UP_DELTAS)
            result = await one_round(stack.gateway_url, DELTAS)
        first = percentile(result.first_event_seconds, 0.95)
        figures |= {f"{name}_per_s": result.deltas_per_second, f"{name}_first_p95_s": first}
        words = name.replace("_", " ")
        rows.append((f"{words}: deltas/s", f"{result.deltas_per_second:,.0f}", "aim: 95 % of before (make compare)"))
        rows.append((f"{words}: first event p95", f"{first:.3f} s", ""))
    report(f"{RUNS} runs x {DELTAS:,} deltas, 2 workers", rows, figures)
