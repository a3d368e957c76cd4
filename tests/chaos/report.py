"""The table at the end: each guarantee with its violations, takeover times, and their faults."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.chaos.checks import CHECKS
from tests.chaos.evidence import Evidence
from tests.chaos.fault import Fault, FaultKind
from tests.chaos.stack import LEASE_SECONDS
from tests.chaos.takeovers import Takeover, find_takeovers, quantiles

_SHOWN: Final = 5
_ENOUGH: Final = 5
_EXPLAINED: Final = (FaultKind.KILL_MODEM, FaultKind.PAUSE_MODEM, FaultKind.PARTITION_MODEM, FaultKind.DRAIN_MODEM)


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a storm."""

    seed: int
    seconds: float
    evidence: Evidence
    faults: Sequence[Fault]
    stubborn: Sequence[str]

    def findings(self) -> dict[str, list[str]]:
        """Return the violations of each guarantee."""
        takeovers = find_takeovers(self.evidence.runs, self.faults)
        found = {name: list(check(self.evidence)) for name, check in CHECKS.items()}
        found["takeovers without a fault"] = [each.run for each in takeovers if each.kind is None]
        found["hand-overs that waited for the lease"] = _slow_hand_overs(takeovers)
        found["processes that did not end on SIGTERM"] = list(self.stubborn)
        return found

    def text(self) -> str:
        """Return the tables."""
        findings = self.findings()
        runs = self.evidence.runs
        events = sum(len(run.entries) for run in runs)
        effects = sum(run.effects.total() for run in runs)
        attempts = sum(len(run.attempts) for run in runs)
        connections = sum(len(run.followed.connections) for run in runs)
        head = (
            f"seed {self.seed}: {len(runs)} runs in {self.seconds:.0f} s, {attempts} attempts, {events} events, "
            f"{effects} effects, {connections} client connections"
        )
        return "\n".join((head, *_promises(findings), *_times(self._takeovers()), *_faults(self.faults)))

    def _takeovers(self) -> list[Takeover]:
        return find_takeovers(self.evidence.runs, self.faults)


def _promises(findings: Mapping[str, Sequence[str]]) -> list[str]:
    lines = []
    for name, found in findings.items():
        lines.append(f"  {len(found):6d}  {name}")
        lines += [f"            {each}" for each in found[:_SHOWN]]
    return lines


def _times(takeovers: Sequence[Takeover]) -> list[str]:
    lines = ["  takeover, from the fault to `resumed`, Redis up all the while:"]
    for kind in _EXPLAINED:
        seconds = [each.seconds for each in takeovers if each.kind is kind and not each.beside_redis]
        if seconds:
            median, late = quantiles(seconds)
            lines.append(f"    {kind}: p50 {median:.2f} s, p95 {late:.2f} s of {len(seconds)}")
    return lines


def _faults(faults: Sequence[Fault]) -> list[str]:
    counts = Counter(fault.kind for fault in faults)
    return [f"  {len(faults)} faults:", *(f"    {counts[kind]:4d}  {kind}" for kind in FaultKind)]


def _slow_hand_overs(takeovers: Sequence[Takeover]) -> list[str]:
    """Judge the median only: one hand-over may wait, for a busy machine or for a worker that dies as well."""
    seconds = [each.seconds for each in takeovers if each.kind is FaultKind.DRAIN_MODEM and not each.beside_redis]
    if len(seconds) < _ENOUGH:
        return []
    median, _ = quantiles(seconds)
    return [f"median {median:.2f} s"] if median >= LEASE_SECONDS else []
