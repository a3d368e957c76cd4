"""How a run ends, as data: every end is one Outcome."""

from dataclasses import dataclass, field
from typing import Final

from shared.contract.run import RunStatus, StopReason, Usage

_STATUS: Final = {
    StopReason.COMPLETED: RunStatus.COMPLETED,
    StopReason.CANCELLED: RunStatus.CANCELLED,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """Why a run ended, in a sentence for the user when it did not end well, and what it used."""

    stop_reason: StopReason
    message: str = ""
    usage: Usage = field(default_factory=Usage)

    @property
    def status(self) -> RunStatus:
        """The terminal status of the run record."""
        return _STATUS.get(self.stop_reason, RunStatus.FAILED)

    @property
    def is_failure(self) -> bool:
        """Whether the last event has state `error`."""
        return self.status is RunStatus.FAILED
