"""FakeRunLog: the RunLog port in memory; keeps writes in order, can lose its lease or be slow."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shared.contract.event import AgentExecuteData, AssistantDelta, ExecuteState, ExecuteType, RunEvent
from shared.contract.message import ChatMessage
from shared.contract.run import Usage
from shared.contract.state import AgentState
from shared.errors import LeaseLostError
from tests.event_data import read_data
from workflow.journal.ports import Written


@dataclass(frozen=True, slots=True)
class Commit:
    """One atomic write."""

    events: tuple[AgentExecuteData, ...]
    messages: tuple[ChatMessage, ...]
    state: AgentState | None
    usage: Usage | None


@dataclass(slots=True)
class SlowCommit:
    """Holds the first commit that fits until `release` is set; `begun` is set when it starts."""

    fits: Callable[[Commit], bool]
    begun: asyncio.Event
    release: asyncio.Event


class FakeRunLog:
    """`events` is everything emitted or committed, in order; `commits` each atomic write.

    `steering` holds steering messages for the run. From commit number `lost_at` (from 0) on, writes find the lease
    lost. `mask` is applied to each message.
    """

    def __init__(
        self,
        *,
        lost_at: int | None = None,
        slow: SlowCommit | None = None,
        mask: Callable[[ChatMessage], ChatMessage] = lambda message: message,
    ) -> None:
        self.events: list[AgentExecuteData] = []
        self.commits: list[Commit] = []
        self.refused = 0
        self.steering: list[ChatMessage] = []
        self._lost_at = lost_at
        self._slow = slow
        self._mask = mask

    @property
    def messages(self) -> list[ChatMessage]:
        """The conversation as it was written."""
        return [message for commit in self.commits for message in commit.messages]

    @property
    def usage(self) -> Usage | None:
        """The usage that was written last."""
        return next((commit.usage for commit in reversed(self.commits) if commit.usage), None)

    def kinds(self) -> list[tuple[str, str]]:
        """Return (execute_type, current_state) of each event, deltas left out."""
        return [
            (event.execute_type, event.current_state.value)
            for event in self.events
            if event.execute_type != ExecuteType.ASSISTANT_DELTA
        ]

    def assert_every_init_is_closed_once(self) -> None:
        """Check that each init is followed by exactly one end with its uuid and type."""
        ends = (ExecuteState.COMPLETE, ExecuteState.ERROR, ExecuteState.INTERRUPT)
        for position, event in enumerate(self.events):
            if event.current_state is ExecuteState.INIT:
                after = [e for e in self.events[position + 1 :] if e.uuid == event.uuid]
                closing = [e for e in after if e.current_state in ends]
                assert len(closing) == 1, f"{event.execute_type} {event.execute_params} has {len(closing)} ends"
                assert after[-1] is closing[0], f"{event.execute_type} has an event after its end"

    async def emit(self, event: RunEvent) -> None:
        self._check_lease()
        self.events.append(read_data(event.to_json()) if isinstance(event, AssistantDelta) else event)

    async def commit(
        self,
        events: Sequence[AgentExecuteData],
        messages: Sequence[ChatMessage] = (),
        state: AgentState | None = None,
        usage: Usage | None = None,
    ) -> Written:
        self._check_lease()
        messages = [self._mask(message) for message in messages]
        commit = Commit(tuple(events), tuple(messages), state, usage)
        if self._slow is not None and self._slow.fits(commit):
            slow, self._slow = self._slow, None
            slow.begun.set()
            await slow.release.wait()
        self.events.extend(events)
        self.commits.append(commit)
        return Written(messages, state)

    async def take_steering(self) -> Sequence[ChatMessage]:
        taken, self.steering = self.steering, []
        return taken

    def _check_lease(self) -> None:
        if self._lost_at is not None and len(self.commits) >= self._lost_at:
            self.refused += 1
            raise LeaseLostError
