"""Tool calls put together from the deltas of a stream."""

import uuid
from dataclasses import dataclass, field

from shared.contract.message import ToolCall
from workflow.llm.whole_characters import repair


@dataclass(slots=True)
class _Draft:
    call_id: str
    name: str
    arguments: list[str] = field(default_factory=list)


class ToolCallAssembly:
    """Collects deltas by index. Ids may be missing, repeated, or the same for several calls."""

    def __init__(self) -> None:
        self._drafts: list[_Draft] = []
        self._by_index: dict[int, _Draft] = {}

    def add(self, *, index: int, call_id: str | None, name: str | None, arguments: str | None) -> None:
        """Take one delta; None and empty mean that it says nothing of that."""
        draft = self._by_index.get(index)
        if draft is None or self._begins_another(draft, call_id, name):
            draft = self._begin(index)
        draft.call_id = draft.call_id or call_id or ""
        draft.name = draft.name or name or ""
        draft.arguments.append(arguments or "")

    def calls(self) -> tuple[ToolCall, ...]:
        """Return the calls in the order they began, each with an id of its own."""
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
        # Some servers send every call whole and all under index 0: a new id together with a name is a new call.
        return bool(call_id and name and draft.call_id and call_id != draft.call_id)
