"""How records are stored in Redis hashes: texts as they are, everything else as JSON."""

from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json, to_json

from shared.contract.message import ChatMessage, Role
from shared.contract.run import RunRecord
from shared.contract.state import AgentState
from shared.contract.thread import ThreadRecord
from shared.errors import UnreadableRecordError

# Most of the conversation that one script call reads: Redis serves nobody else meanwhile.
MESSAGES_PER_PART: Final = 1_000
PART_BYTES: Final = 1_048_576

RecordT = TypeVar("RecordT", bound=BaseModel)
RawFields = Mapping[bytes, bytes]

_JSON_FIELDS = frozenset(
    {
        "metadata", "context", "context_data", "parameters", "usage", "plan", "todos", "in_flight", "waiting", "answer",
        "last_answer", "unreadable", "shares",
    }
)  # fmt: skip
_NUMBER_FIELDS = frozenset({"run_count", "attempts", "crashes", "waited_ms", "token", "after_crash"})


def to_fields(record: RunRecord | ThreadRecord | AgentState) -> dict[str, str]:
    """Return the hash fields of a record; members that are None are left out."""
    fields: dict[str, str] = {}
    # Only here: inside of what a client has sent, null is a value like any other.
    for name, value in record.model_dump(mode="json").items():
        if value is None:
            continue
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


def read_record(model: type[RecordT], fields: RawFields) -> RecordT:
    """Read a record; empty texts stand for members that are absent. Raises UnreadableRecordError."""
    values, unreadable = _read_fields(model, fields)
    try:
        record = model.model_validate(values)
    except ValidationError as error:
        unreadable |= _members_of(error)
    if unreadable:
        raise UnreadableRecordError(
            f"These members of a {model.__name__} cannot be read: {', '.join(sorted(unreadable))}."
        )
    return record


def salvage_record(model: type[RecordT], fields: RawFields, known: Mapping[str, str]) -> RecordT:
    """Read what can be read of a record, which names the rest; `known` replaces unreadable required members."""
    values, unreadable = _read_fields(model, fields)
    try:
        if not unreadable:
            return model.model_validate(values)
    except ValidationError as error:
        unreadable |= _members_of(error)
    kept = {name: value for name, value in values.items() if name not in unreadable}
    return model.model_validate({**known, **kept, "unreadable": tuple(sorted(unreadable))})


def _read_fields(model: type[BaseModel], fields: RawFields) -> tuple[dict[str, object], set[str]]:
    """Return members as far as they can be read, and the names of those that cannot."""
    values: dict[str, object] = {}
    unreadable: set[str] = set()
    for raw_name, raw in fields.items():
        name = raw_name.decode(errors="replace")
        if name not in model.model_fields or (raw == b"" and name not in ("owner", "task", "message")):
            continue
        try:
            values[name] = from_json(raw) if name in _JSON_FIELDS else raw.decode()
        except ValueError:
            unreadable.add(name)
    return values, unreadable


def _members_of(error: ValidationError) -> set[str]:
    return {str(problem["loc"][0]) for problem in error.errors(include_url=False, include_input=False)}


def pairs_to_dict(flat: Sequence[bytes]) -> dict[bytes, bytes]:
    """Return the flat answer of a script's HGETALL as a dict."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def flatten(fields: Mapping[str, str]) -> list[str]:
    """Return field, value, … as a script takes them."""
    return [part for pair in fields.items() for part in pair]


def read_message(raw: bytes) -> ChatMessage:
    """Read one message of the conversation; raises UnreadableRecordError."""
    try:
        return ChatMessage.model_validate_json(raw)
    except ValidationError as error:
        raise UnreadableRecordError("A message of the conversation cannot be read.") from error


def show_message(raw: bytes) -> ChatMessage:
    """Read one message to show it; one that cannot be read says so."""
    try:
        return read_message(raw)
    except UnreadableRecordError as error:
        return ChatMessage(role=Role.SYSTEM, content=error.message, unreadable=True)


def write_message(message: ChatMessage) -> bytes:
    """Return one message as it is stored in the conversation."""
    return message.__pydantic_serializer__.to_json(message, exclude_defaults=True)
