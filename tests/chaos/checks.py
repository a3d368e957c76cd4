"""The guarantees, each as a function from the evidence to its violations."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Final

from shared.contract.event import ExecuteState
from shared.contract.run import RunStatus
from shared.ids import parse_stream_id
from shared.keys import OPEN_RUNS_INDEX
from tests.chaos.evidence import Evidence, RunEvidence
from tests.chaos.scripted_worker_model import effects_of
from tests.streamed_text import faults_in_text, left_behind, successor

# The broker's own (queues, what hangs on which exchange, what is delivered and not yet acknowledged), and the reapers'
# schedule, whose members leave it when their run has ended.
IMMORTAL_BY_NATURE: Final = re.compile(
    rf"celery|unacked|unacked_index|unacked_mutex|_kombu\.binding.*|{re.escape(OPEN_RUNS_INDEX)}"
)

_CLOSED_BY_THE_END: Final = "The run ended before this call did"

Check = Callable[[Evidence], Iterator[str]]


def runs_lost(evidence: Evidence) -> Iterator[str]:
    """An accepted run that did not end as it should, or not within its client's time limit."""
    for run in evidence.runs:
        if run.status != run.followed.expected or not run.followed.has_completed:
            yield f"{run.name}: {run.status} {run.stop_reason}, its client saw {len(run.followed.seen)} events"


def requests_refused(evidence: Evidence) -> Iterator[str]:
    """A good request that was answered with something else than success or `try again later`."""
    yield from evidence.refused


def runs_made_twice(evidence: Evidence) -> Iterator[str]:
    """A run that came of a repeated request, beside the one that its client knows."""
    yield from evidence.unknown_to_clients


def runs_without_exactly_one_end(evidence: Evidence) -> Iterator[str]:
    """A run with no `flow_completion`, or more, or with something after it."""
    for run in evidence.runs:
        ends = sum(entry.is_completion for entry in run.entries)
        if ends != 1 or not run.entries[-1].is_completion:
            yield f"{run.name}: {ends} ends in {len(run.entries)} events"


def events_missed(evidence: Evidence) -> Iterator[str]:
    """An event of the log that a client which saw the end did not get."""
    for run in (run for run in evidence.runs if run.followed.has_completed):
        for missed in sorted(_ids(run) - set(run.followed.seen)):
            yield f"{run.name}: {missed}"


def events_seen_twice(evidence: Evidence) -> Iterator[str]:
    """An id that the client got more than once."""
    for run in evidence.runs:
        for entry_id, times in Counter(run.followed.seen).items():
            if times > 1:
                yield f"{run.name}: {entry_id} {times} times"


def events_out_of_order(evidence: Evidence) -> Iterator[str]:
    """A client that got a later event before an earlier one."""
    for run in evidence.runs:
        seen = [parse_stream_id(entry_id) for entry_id in run.followed.seen]
        if seen != sorted(seen):
            yield run.name


def events_seen_and_then_gone(evidence: Evidence) -> Iterator[str]:
    """An event that a client got and that is not in the log; a text delta too, if nothing superseded it."""
    for run in evidence.runs:
        superseded = {piece.id for piece in run.seen_text if successor(piece, run.entries)}
        for gone in sorted(set(run.followed.seen) - _ids(run) - superseded):
            yield f"{run.name}: {gone}"


def text_that_is_not_its_message(evidence: Evidence) -> Iterator[str]:
    """Text that a client got, which read from the beginning, and that is not the beginning of its message.

    Text of an attempt that was lost has no message: its words have to come without one left out, from the first on.
    """
    for run in evidence.runs:
        for fault in faults_in_text(run.seen_text, run.entries):
            yield f"{run.name}: {fault}"
        for uuid, pieces in groupby(run.seen_text, key=lambda piece: piece.data.uuid):
            words = [word for piece in pieces for word in piece.words]
            if words != list(range(len(words))):
                yield f"{run.name}: {uuid} came as words {words}"


def text_after_its_message(evidence: Evidence) -> Iterator[str]:
    """Text that a client got over a connection which it opened when its message, or a new attempt, was in the log."""
    for run in evidence.runs:
        for piece, text in zip(run.seen_text, run.followed.text, strict=True):
            place = successor(piece, run.entries)
            if place is not None and parse_stream_id(place.id).milliseconds < text.opened_at * 1000 - 1:
                yield f"{run.name}: {piece.id}, {place.data.execute_type} had been written as {place.id}"


def text_left_behind(evidence: Evidence) -> Iterator[str]:
    """Text that is still in the log although its message, or a new attempt, has superseded it."""
    for run in evidence.runs:
        for fault in left_behind(run.entries):
            yield f"{run.name}: {fault}"


def events_written_twice(evidence: Evidence) -> Iterator[str]:
    """The same event under two ids: a write that was repeated after its answer was lost."""
    for run in evidence.runs:
        for raw, times in Counter(entry.raw for entry in run.entries).items():
            if times > 1:
                yield f"{run.name}: {times} times {raw[:200]}"


def effects_without_a_trace(evidence: Evidence) -> Iterator[str]:
    """An effect whose call the log calls complete and that did not happen, or that happened and is not in the log."""
    for run in evidence.runs:
        for call_id in run.effects_in(ExecuteState.COMPLETE) - set(run.effects):
            yield f"{run.name}: {call_id} is complete and left no line"
        for call_id in set(run.effects) - run.effects_in(ExecuteState.INIT):
            yield f"{run.name}: {call_id} left a line and has no init"


def effects_done_twice(evidence: Evidence) -> Iterator[str]:
    """A call that must not be repeated and left more than one line."""
    for run in evidence.runs:
        for call_id, times in run.effects.items():
            if times > 1:
                yield f"{run.name}: {call_id} {times} times"


def inits_without_one_end(evidence: Evidence) -> Iterator[str]:
    """A tool call whose init is not followed by exactly one end."""
    for run in evidence.runs:
        open_calls: set[str] = set()
        for entry in (entry for entry in run.entries if entry.is_tool):
            uuid, state = entry.data.uuid, entry.data.current_state
            if state is ExecuteState.INIT:
                open_calls.add(uuid)
            elif uuid not in open_calls:
                yield f"{run.name}: {entry.data.execute_type} {uuid} is {state} and not open"
            elif state not in (ExecuteState.PROCESSING, ExecuteState.INTERRUPT):
                open_calls.remove(uuid)
        for uuid in open_calls:
            yield f"{run.name}: {uuid} has no end"


def calls_left_open(evidence: Evidence) -> Iterator[str]:
    """A call of a completed run that was asked for and never begun, or that was closed only because the run ended."""
    for run in (run for run in evidence.runs if run.status == RunStatus.COMPLETED):
        for call_id in sorted(effects_of(run.followed.script) - run.effects_in(ExecuteState.INIT)):
            yield f"{run.name}: {call_id} was never begun"
        for entry in run.entries:
            if entry.is_tool and _CLOSED_BY_THE_END in entry.raw:
                yield f"{run.name}: {entry.data.uuid} was open when the run ended"


def writes_without_a_lease(evidence: Evidence) -> Iterator[str]:
    """Text of an attempt after another one has announced itself, or of two attempts side by side."""
    for run in evidence.runs:
        former: set[str] = set()
        for number, entries in enumerate(run.attempts, start=1):
            tags = {tag for entry in entries for tag in entry.tags}
            if len(tags) > 1 or tags & former:
                yield f"{run.name}: part {number} holds text of {sorted(tags)}, earlier ones of {sorted(former)}"
            former |= tags


def keys_without_an_end(evidence: Evidence) -> Iterator[str]:
    """A key without a time to live that is not one by nature."""
    yield from (key for key in evidence.immortal_keys if not IMMORTAL_BY_NATURE.fullmatch(key))


CHECKS: Final[dict[str, Check]] = {
    "runs lost": runs_lost,
    "good requests refused": requests_refused,
    "runs made twice by a repeated request": runs_made_twice,
    "runs with not exactly one flow_completion": runs_without_exactly_one_end,
    "events that a client missed": events_missed,
    "events that a client saw twice": events_seen_twice,
    "clients that saw events out of order": events_out_of_order,
    "events seen and then gone": events_seen_and_then_gone,
    "text that is not the beginning of its message": text_that_is_not_its_message,
    "text sent after its message": text_after_its_message,
    "text left in the log after its message": text_left_behind,
    "events written twice": events_written_twice,
    "effects without a trace": effects_without_a_trace,
    "effects done twice": effects_done_twice,
    "tool inits without one end": inits_without_one_end,
    "calls that a completed run left open": calls_left_open,
    "writes without a lease": writes_without_a_lease,
    "keys without a time to live": keys_without_an_end,
}


def _ids(run: RunEvidence) -> set[str]:
    return {entry.id for entry in run.entries}
