"""What goes into the store of runs and what comes out of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from shared.contract.message import ChatMessage
from shared.contract.run import RunRecord, RunStatus, StopReason, Usage
from shared.contract.state import AgentState
from shared.contract.thread import ThreadRecord


@dataclass(frozen=True, slots=True)
class RunPage:
    """Runs of a thread, and the position of the one that comes next."""

    runs: Sequence[RunRecord]
    following: int


class SubmitOutcome(StrEnum):
    """What became of a submitted run."""

    ACTIVE = "active"  # it is the thread's active run: publish its job
    QUEUED = "queued"  # it waits in the inbox
    WAITING = "waiting"  # the active run waits for a person, and the text should be its answer
    STEERED = "steered"  # its text was given to the active run, which is the one that stands for the request
    REPEATED = "repeated"  # the same Idempotency-Key was used before; this is that run


@dataclass(frozen=True, slots=True)
class Submitted:
    """The run that stands for a request, how it came to be, and behind which active run it is queued."""

    outcome: SubmitOutcome
    run: RunRecord
    behind: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A run that this worker owns, with all that is needed to go on with it."""

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

    WAITING = "waiting"  # it does, and is nobody's
    CANCELLED = "cancelled"  # it shall stop, and is still its worker's
    STEERED = "steered"  # it was spoken to, and is still its worker's


class CancelOutcome(StrEnum):
    """What became of a cancel request."""

    ENDED = "ended"  # the run had ended before
    CANCELLED = "cancelled"  # nobody owned the run, so it is ended now
    ASKED = "asked"  # its owner was told


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The answer to a cancel request; `ended` when it ended the run itself."""

    outcome: CancelOutcome
    ended: Ended | None


@dataclass(frozen=True, slots=True)
class SteerText:
    """What is said to an active run; `event` is the data of its `user_message`, both under the request's run id."""

    message: ChatMessage
    event: bytes


@dataclass(frozen=True, slots=True)
class CallEnd:
    """How calls that a lost worker left open are ended; each call's own id, uuid, type and times are filled in."""

    message: ChatMessage
    event: bytes
