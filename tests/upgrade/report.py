"""The table at the end: what went from one version to the other, and each promise with what broke it."""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import groupby, pairwise
from typing import Final

from tests.chaos.evidence import RunEvidence
from tests.chaos.run_client import Followed
from tests.upgrade.findings import Outcome

_SHOWN: Final = 5
_LABELS: Final = ("old", "new")
_ACROSS: Final = (("old", "new"), ("new", "old"))


def crossings(outcome: Outcome) -> dict[str, int]:
    """Return how often each thing that the story is about has happened; each has to have happened."""
    workers = {service.pid: service.version.label for service in outcome.services if not service.url}
    gateways = {service.url: service.version.label for service in outcome.services if service.url}
    runs, witness = outcome.evidence.runs, outcome.witness
    jobs = Counter(_job(run, workers, gateways) for run in runs)
    moves = [move for run in runs for move in pairwise(_owners(run))]
    drained, killed = (
        Counter((workers[one], workers[other]) for one, other in moves if one in pids)
        for pids in (witness.drained, witness.killed)
    )
    resumed = Counter(hop for each in (*witness.runs, *witness.views) for hop in _hops(each, gateways))
    return {
        **{f"runs posted to {one}, begun by {other}": jobs[one, other] for one in _LABELS for other in _LABELS},
        **{f"runs handed over from {one} to {other} (SIGTERM)": drained[one, other] for one, other in _ACROSS},
        **{f"runs taken over from {one} by {other} (SIGKILL)": killed[one, other] for one, other in _ACROSS},
        **{f"streams resumed from {one} at {other} by their last id": resumed[one, other] for one, other in _ACROSS},
        "steering texts across a change": len(witness.steered),
        "questions and approvals open across a change": len(witness.answered) + len(witness.approved),
        "runs cancelled": sum(run.status == "cancelled" for run in runs),
        "legacy runs": len(witness.legacy),
        "streams read by an SDK": sum(run.followed.script.name.startswith("SDK") for run in outcome.views.runs),
    }


def text(outcome: Outcome) -> str:
    """Return the table."""
    runs = outcome.evidence.runs
    events, effects = sum(len(run.entries) for run in runs), sum(run.effects.total() for run in runs)
    seen = sum(len(each.seen) for each in (*outcome.witness.runs, *outcome.witness.views, *outcome.witness.legacy))
    connections = sum(len(each.connections) for each in (*outcome.witness.runs, *outcome.witness.views))
    head = (
        f"{len(runs)} runs in {outcome.seconds:.0f} s, {events} events, {effects} effects;"
        f" clients saw {seen} events over {connections} connections"
    )
    counted = (f"  {count:6d}  {name}" for name, count in crossings(outcome).items())
    return "\n".join((head, " across the versions:", *counted, " broken:", *_promises(outcome.findings())))


def _promises(findings: Mapping[str, list[str]]) -> Iterator[str]:
    for name, found in findings.items():
        yield f"  {len(found):6d}  {name}"
        yield from (f"            {each}" for each in found[:_SHOWN])


def _job(run: RunEvidence, workers: Mapping[int, str], gateways: Mapping[str, str]) -> tuple[str, str]:
    """Return the versions of the gateway that accepted a run and of the worker that began it."""
    owners = _owners(run)
    return gateways[run.followed.posted_to], workers[owners[0]] if owners else ""


def _owners(run: RunEvidence) -> list[int]:
    """Return the process ids of the workers that wrote the text of a run, one after the other."""
    tags = [tag for entries in run.attempts for entry in entries for tag in sorted(entry.tags)]
    return [pid for pid, _ in groupby(int(tag.partition(".")[0]) for tag in tags)]


def _hops(followed: Followed, gateways: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the versions of two gateways wherever a client went from one to the other."""
    yield from ((gateways[one], gateways[other]) for one, other in pairwise(followed.connections))
