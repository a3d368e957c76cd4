"""How long runs were without an owner: from the fault that took it away to the next attempt's announcement."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tests.chaos.evidence import Entry, RunEvidence
from tests.chaos.fault import Fault, FaultKind

_OF_ONE: Final = (FaultKind.KILL_MODEM, FaultKind.PAUSE_MODEM, FaultKind.DRAIN_MODEM, FaultKind.PARTITION_MODEM)
_OF_ALL: Final = (FaultKind.KILL_REDIS, FaultKind.RESTART_REDIS)
# An older fault is not the cause.
_MEMORY_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Takeover:
    """One change of owners; without `kind` no fault explains it. `beside_redis`: Redis was restarted meanwhile."""

    run: str
    kind: FaultKind | None
    seconds: float
    beside_redis: bool


def find_takeovers(runs: Sequence[RunEvidence], faults: Sequence[Fault]) -> list[Takeover]:
    """Return the takeovers whose former owner is known from its text."""
    return [takeover for run in runs for takeover in _of_run(run, faults)]


def _of_run(run: RunEvidence, faults: Sequence[Fault]) -> Iterator[Takeover]:
    for before, after in zip(run.attempts, run.attempts[1:], strict=False):
        owners = {int(tag.partition(".")[0]) for entry in before for tag in entry.tags}
        if len(owners) == 1:
            yield _explain(run.name, _time(after[0]), owners.pop(), faults)


def _explain(run: str, at: float, owner: int, faults: Sequence[Fault]) -> Takeover:
    recent = [fault for fault in faults if 0 <= at - fault.at <= _MEMORY_SECONDS]
    own = [fault for fault in recent if fault.kind in _OF_ONE and fault.pid == owner]
    of_all = [fault for fault in recent if fault.kind in _OF_ALL]
    causes = own or of_all
    if not causes:
        return Takeover(run, None, 0.0, False)
    cause = causes[-1]
    return Takeover(run, cause.kind, at - cause.at, any(fault.at >= cause.at for fault in of_all))


def _time(entry: Entry) -> float:
    return datetime.fromisoformat(entry.data.create_at).timestamp()


def quantiles(seconds: Sequence[float]) -> tuple[float, float]:
    """Return the median and the 95th percentile."""
    if len(seconds) == 1:
        return seconds[0], seconds[0]
    cuts = statistics.quantiles(seconds, n=20, method="inclusive")
    return cuts[9], cuts[18]
