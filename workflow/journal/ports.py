"""What the engine needs from outside, as Protocols: a log, a cancellation, a clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from shared.contract.event import AgentExecuteData, RunEvent
from shared.contract.message import ChatMessage
from shared.contract.run import Usage
from shared.contract.state import AgentState


@dataclass(frozen=True, slots=True)
class Written:
    """Messages and state as they were written, secrets masked: the run and its model see only these."""

    messages: Sequence[ChatMessage] = ()
    state: AgentState | None = None


class RunLog(Protocol):
    """The log of a run, secrets masked; order is kept between `emit` and `commit`.

    Both raise LeaseLostError when this worker may not write any more.
    """

    async def emit(self, event: RunEvent) -> None:
        """Buffer an event that may be written a little later: deltas and streamed output."""

    async def commit(
        self,
        events: Sequence[AgentExecuteData],
        messages: Sequence[ChatMessage] = (),
        state: AgentState | None = None,
        usage: Usage | None = None,
    ) -> Written:
        """Write all of it in one atomic call, after everything emitted before; return it as it was written."""

    async def take_steering(self) -> Sequence[ChatMessage]:
        """Return the steering messages since the last call, already written, secrets masked."""


class Stop(StrEnum):
    """Why a run has to stop at once."""

    CANCELLED = "cancelled"  # somebody asked for it
    LEASE_LOST = "lease lost"  # another worker may own it: nothing more may be done or written
    HAND_OVER = "hand over"  # this worker drains; another one continues the run


class Cancellation(Protocol):
    """Whether the run has to stop."""

    @property
    def should_hand_over(self) -> bool:
        """Whether the run should leave this worker at its next journal point."""

    async def wait(self) -> Stop:
        """Return once the run has to stop at once."""


class Clock(Protocol):
    """Wall-clock and monotonic time; a fake in tests."""

    def now(self) -> datetime:
        """Return the time of day in UTC."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""
