"""Assembles tool calls from the deltas of a stream."""

import uuid
from dataclasses import dataclass, field
from typing import Final

from shared.contract.message import ToolCall
from workflow.llm.model import DROPPED_ARGUMENTS, MAX_ANSWER_CHARS, MAX_ARGUMENT_CHARS, MAX_CALLS
from workflow.llm.whole_characters import repair

_MAX_NAME_CHARS: Final = 200  # of a name or an id, which are in every event of the call


@dataclass(slots=True)
class _Draft:
    call_id: str
    name: str
    arguments: list[str] = field(default_factory=list)
    chars: int = 0

    def add(self, arguments: str) -> None:
        """Append to the arguments, or drop them all once they are too long."""
        self.chars += len(arguments)
        if self.chars <= MAX_ARGUMENT_CHARS:
            self.arguments.append(arguments)
        else:
            self.arguments = [DROPPED_ARGUMENTS]


class ToolCallAssembly:
    """Collects deltas by index. Ids may be missing, repeated, or the same for several calls.

    `chars` counts all arguments; with `is_too_long` the answer should be broken off.
    """

    def __init__(self) -> None:
        self.chars = 0
        self.is_too_long = False
        self._drafts: list[_Draft] = []
        self._by_index: dict[int, _Draft] = {}

    def add(self, *, index: int, call_id: str | None, name: str | None, arguments: str | None) -> None:
        """Add one delta; None and empty values are not in it."""
        self.chars += len(arguments or "")
        draft = self._by_index.get(index)
        if draft is None or self._begins_another(draft, call_id, name):
            if len(self._drafts) >= MAX_CALLS:
                self.is_too_long = True
                return
            draft = self._begin(index)
        draft.call_id = draft.call_id or (call_id or "")[:_MAX_NAME_CHARS]
        draft.name = draft.name or (name or "")[:_MAX_NAME_CHARS]
        draft.add(arguments or "")
        self.is_too_long = self.is_too_long or draft.chars > MAX_ARGUMENT_CHARS or self.chars > MAX_ANSWER_CHARS

    def calls(self) -> tuple[ToolCall, ...]:
        """Return the calls in the order they began, each with a unique id."""
        seen: set[str] = set()
        calls = []
        for draft in self._drafts:
            unique = draft.call_id if draft.call_id and draft.call_id not in seen else f"call_{uuid.uuid4().hex}"
            seen.add(unique)
            arguments = repair("".join(draft.arguments))
            calls.append(
                ToolCall(call_id=unique, name=repair(draft.name), arguments=arguments if arguments.strip() else "{}")
            )
        return tuple(calls)

    def _begin(self, index: int) -> _Draft:
        draft = _Draft(call_id="", name="")
        self._drafts.append(draft)
        self._by_index[index] = draft
        return draft

    @staticmethod
    def _begins_another(draft: _Draft, call_id: str | None, name: str | None) -> bool:
        # Some servers send each call in one delta, all under index 0: a new id together with a name is a new call.
        return bool(call_id and name and draft.call_id and call_id != draft.call_id)
