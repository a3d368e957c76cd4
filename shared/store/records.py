"""How records stand in Redis hashes: texts as they are, everything else as JSON."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from pydantic import BaseModel
from pydantic_core import from_json, to_json

from shared.contract.message import ChatMessage
from shared.contract.run import RunRecord
from shared.contract.state import AgentState
from shared.contract.thread import ThreadRecord

RecordT = TypeVar("RecordT", bound=BaseModel)

_JSON_FIELDS = frozenset(
    {"metadata", "context", "context_data", "parameters", "usage", "plan", "todos", "in_flight", "waiting", "answer"}
)
_NUMBER_FIELDS = frozenset({"run_count", "attempts", "crashes", "waited_ms", "token", "after_crash"})


def to_fields(record: RunRecord | ThreadRecord | AgentState) -> dict[str, str]:
    """Return the hash fields of a record; members that are None are left out."""
    fields: dict[str, str] = {}
    for name, value in record.model_dump(mode="json", exclude_none=True).items():
        if name in _JSON_FIELDS:
            fields[name] = to_json(value).decode()
        elif name in _NUMBER_FIELDS:
            fields[name] = str(int(value))
        else:
            fields[name] = str(value)
    return fields


def state_fields(state: AgentState) -> dict[str, str]:
    """Return the hash fields of a state, with `null` for what it does not have."""
    fields = to_fields(state)
    fields.setdefault("plan", "null")
    return fields


def from_fields(model: type[RecordT], fields: Mapping[str, str]) -> RecordT:
    """Read a record; empty texts stand for members that are absent."""
    values: dict[str, object] = {}
    for name, text in fields.items():
        if text == "" and name not in ("owner", "task", "message"):
            continue
        values[name] = from_json(text) if name in _JSON_FIELDS else text
    return model.model_validate(values)


def pairs_to_dict(flat: Sequence[bytes]) -> dict[str, str]:
    """Return what a script's HGETALL gave as a dict of texts."""
    return {flat[i].decode(): flat[i + 1].decode() for i in range(0, len(flat), 2)}


def flatten(fields: Mapping[str, str]) -> list[str]:
    """Return field, value, … as a script takes them."""
    return [part for pair in fields.items() for part in pair]


def read_message(raw: bytes) -> ChatMessage:
    """Read one message of the conversation."""
    return ChatMessage.model_validate_json(raw)


def write_message(message: ChatMessage) -> bytes:
    """Return one message as it stands in the conversation."""
    return message.__pydantic_serializer__.to_json(message, exclude_defaults=True)
