"""Arguments and results of the store of runs, and how its scripts take and return them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from shared.contract.message import ChatMessage
from shared.contract.run import RunRecord, RunStatus, StopReason, Usage
from shared.contract.state import AgentState
from shared.contract.thread import ThreadRecord
from shared.errors import SteeringFullError, ThreadBusyError, ThreadNotFoundError
from shared.store.records import write_message


@dataclass(frozen=True, slots=True)
class RunPage:
    """Runs of a thread, and the position of the next one."""

    runs: Sequence[RunRecord]
    following: int


class SubmitOutcome(StrEnum):
    """The result of submitting a run."""

    ACTIVE = "active"  # it is the thread's active run: publish its job
    QUEUED = "queued"  # it waits in the inbox
    WAITING = "waiting"  # the active run waits for a person, and the text should be its answer
    STEERED = "steered"  # its text was given to the active run, which is the run of the request
    REPEATED = "repeated"  # the same Idempotency-Key was used before; this is that run


# What the script answers where nothing is stored.
SUBMIT_REFUSALS: Final = {b"unknown": ThreadNotFoundError, b"busy": ThreadBusyError, b"full": SteeringFullError}


@dataclass(frozen=True, slots=True)
class Submitted:
    """The run of a request, what was done for it, and after which active run it is queued."""

    outcome: SubmitOutcome
    run: RunRecord
    queued_after: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A run that this worker owns, with all that is needed to execute it."""

    run: RunRecord
    thread: ThreadRecord
    state: AgentState
    messages: tuple[ChatMessage, ...]


@dataclass(frozen=True, slots=True)
class RunWrite:
    """One atomic write of a run; `sequence` counts the writes of one claim from 1.

    With `supersedes_text` the run's text deltas of earlier writes leave the log.
    """

    sequence: int
    events: Sequence[bytes] = ()
    messages: Sequence[ChatMessage] = ()
    state: AgentState | None = None
    usage: Usage | None = None
    supersedes_text: bool = False


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How a run ends; `event` is the data of its `flow_completion`."""

    status: RunStatus
    stop_reason: StopReason
    message: str
    usage: Usage
    event: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """The id of the last event, and the run of the inbox that is active now."""

    completion_id: str
    next_run_id: str | None


class WaitOutcome(StrEnum):
    """Whether a run waits for a person."""

    WAITING = "waiting"  # it does, and no worker owns it
    CANCELLED = "cancelled"  # a cancel was requested; its worker still owns it
    STEERED = "steered"  # steering text waits for it; its worker still owns it


class CancelOutcome(StrEnum):
    """The result of a cancel request."""

    ENDED = "ended"  # the run had ended before
    CANCELLED = "cancelled"  # nobody owned the run, so it is ended now
    ASKED = "asked"  # its owner was notified


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The answer to a cancel request; `ended` when it ended the run itself."""

    outcome: CancelOutcome
    ended: Ended | None


@dataclass(frozen=True, slots=True)
class SteerText:
    """Steering text for an active run; `event` is the data of its `user_message`, both under the request's run id."""

    message: ChatMessage
    event: bytes


@dataclass(frozen=True, slots=True)
class CallEnd:
    """Templates that end the calls a lost worker left open; each call's id, uuid, type and times are filled in."""

    message: ChatMessage
    event: bytes


def call_end_arguments(call_end: CallEnd | None) -> tuple[bytes, bytes]:
    """Return the arguments that the scripts end open calls with."""
    return (call_end.event, write_message(call_end.message)) if call_end else (b"", b"")


def read_ended(found: Sequence[bytes]) -> Ended:
    """Read what a script that ends a run returns."""
    completion_id, next_run_id = found
    return Ended(completion_id.decode(), next_run_id.decode() or None)
