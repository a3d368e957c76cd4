"""What a Runner is given to do: the run, its thread, and what is known so far."""

from dataclasses import dataclass

from shared.contract.message import ChatMessage
from shared.contract.run import RunRecord
from shared.contract.state import AgentState
from shared.contract.thread import ThreadRecord


@dataclass(frozen=True, slots=True)
class Work:
    """One run with the conversation and the state of its thread."""

    run: RunRecord
    thread: ThreadRecord
    state: AgentState
    messages: tuple[ChatMessage, ...]
