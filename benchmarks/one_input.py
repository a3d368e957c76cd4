"""One bad input beside a paced run on the same worker, gateway and store: how much later that run's events come."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

from benchmarks.report import report
from benchmarks.sse_reader import post, read_stream
from benchmarks.stack import WORST_TALKER, running_stack
from benchmarks.stream.instrument import Instrument, instrument
from benchmarks.stream.threads import make_threads
from benchmarks.worst_inputs import PREPARED, SENT, TURNS, Target

_PER_SECOND: Final = 50
_QUIET_SECONDS: Final = 3
_DISTURBED_SECONDS: Final = 10  # a longer disturbance is still running when its time is up
_LATE_SECONDS: Final = 30.0  # what has not arrived by then counts as lost
_AIM_MS: Final = 200
_SETTINGS: Final = {
    "BAUD_STREAM__COALESCE_DELTAS": "false",
    "BAUD_STREAM__DROP_DELTAS": "false",
}
Disturbance = Callable[[Target], Awaitable[None]]


async def _play(name: str, target: Target) -> None:
    """Let the model of the disturbing thread make its calls, until the run has ended."""
    body = {"task": json.dumps({"work": name})}
    run = await post(target.url, f"/api/agent/{target.thread_id}/execute", body)
    async for _ in read_stream(target.url, f"/api/agent/{target.thread_id}/runs/{run['run_id']}/stream"):
        pass


async def _paced(readers: Instrument, target: Target, disturb: Disturbance) -> dict[str, Any]:
    """Return the lateness of the paced run's events without and with the disturbance, and what never arrived."""
    (paced,) = await make_threads(target.url, 1)
    await readers.ask("open", group="paced", url=target.url, thread_ids=[paced])
    events = _PER_SECOND * (_QUIET_SECONDS + _DISTURBED_SECONDS)
    task = json.dumps({"deltas": events, "interval_seconds": 1 / _PER_SECOND, "text": "due"})
    await post(target.url, f"/api/agent/{paced}/execute", {"task": task})
    await readers.ask("wait", group="paced", events=_PER_SECOND * _QUIET_SECONDS, seconds=_LATE_SECONDS)
    quiet = await readers.ask("take", group="paced")
    work = asyncio.ensure_future(disturb(target))
    waited = await readers.ask("wait", group="paced", events=events - quiet["events"], seconds=_LATE_SECONDS)
    disturbed = await readers.ask("take", group="paced")
    work.cancel()
    with suppress(asyncio.CancelledError, Exception):
        await work
    return {
        "quiet_ms": quiet["max_ms"],
        "with_ms": disturbed["max_ms"] if waited["events"] else _LATE_SECONDS * 1000,
        "lost": events - quiet["events"] - waited["events"] + disturbed["missed"],
    }


async def _beside(disturb: Disturbance, prepare: Disturbance) -> dict[str, Any]:
    async with (
        running_stack(workers=1, model=WORST_TALKER, settings=_SETTINGS) as stack,
        instrument("benchmarks.stream.readers") as readers,
    ):
        (thread,) = await make_threads(stack.gateway_url, 1)
        target = Target(stack.gateway_url, stack.redis_url, thread)
        await prepare(target)
        return await _paced(readers, target, disturb)


async def _nothing(_target: Target) -> None:
    """No disturbance: the lateness that the machine itself causes."""


async def measure() -> None:
    """Print the figures; the baseline of each is the same run's undisturbed seconds before."""
    disturbances: dict[str, Disturbance] = {"nothing": _nothing}
    disturbances |= {name: partial(_play, name) for name in TURNS}
    disturbances |= SENT
    rows: list[tuple[str, str, str]] = []
    figures: dict[str, float] = {}
    for name, disturb in disturbances.items():
        seen = await _beside(disturb, PREPARED.get(name, _nothing))
        later = max(0.0, seen["with_ms"] - seen["quiet_ms"])
        lost = f", {seen['lost']} events did not come" if seen["lost"] else ""
        rows.append(
            (name, f"{later:,.0f} ms later{lost}", f"at most {_AIM_MS} ms; latest without {seen['quiet_ms']:.0f} ms")
        )
        figures |= {f"{name}: {key}": float(value) for key, value in (("later_ms", later), ("lost", seen["lost"]))}
    report(f"one input beside a run of {_PER_SECOND} events/s, 1 worker", rows, figures)
