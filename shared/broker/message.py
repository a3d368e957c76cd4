"""Messages of the broker's queue: each is validated strictly and rebuilt here before Celery reads it.

A message that Celery does not expect ends its worker, and goes back to the queue for the next worker.
"""

import base64
import binascii
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import AfterValidator, ConfigDict, Field, JsonValue, StrictStr, ValidationError, field_validator

from shared.broker.address import VISIBILITY_TIMEOUT_SECONDS
from shared.contract.base import Contract
from shared.errors import UnreadableMessageError
from shared.ids import is_plain_text
from shared.json_shape import shape_fault
from shared.keys import EXECUTE_RUN_TASK, LEGACY_TASK

# Far more than any message of ours, and far less than any JSON library's limit.
MAX_DEPTH: Final = 100
# Checking and storing value by value delays the other runs of the worker.
MAX_VALUES: Final = 20_000
# The parameters of each task, all strings.
PARAMETERS: Final[Mapping[str, Sequence[str]]] = MappingProxyType(
    {EXECUTE_RUN_TASK: ("thread_id", "run_id"), LEGACY_TASK: ("json_text",)}
)
# Celery's names of gzip and zlib; hardly any producer uses the others.
_COMPRESSIONS: Final = ("application/x-gzip", "gzip", "zlib")
_MAX_ID_CHARS: Final = 4000  # of ids that only name something; what does not exist is not found
_MAX_REASON_CHARS: Final = 500
_SHOWN_PROBLEMS: Final = 3


def _plain(text: str) -> str:
    if not is_plain_text(text, max_chars=_MAX_ID_CHARS):
        raise ValueError(f"must have 1 to {_MAX_ID_CHARS} characters, and no control characters")
    return text


def _time(text: str) -> str:
    time = datetime.fromisoformat(text)
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC).isoformat()


_Name = Annotated[StrictStr, AfterValidator(_plain)]
_Time = Annotated[StrictStr, AfterValidator(_time)]


class _DeliveryInfo(Contract):
    exchange: StrictStr
    routing_key: StrictStr


class _Properties(Contract):
    delivery_tag: _Name
    delivery_info: _DeliveryInfo
    body_encoding: Literal["base64", "utf-8"] | None = None
    priority: Any = 0

    @field_validator("body_encoding", mode="before")
    @classmethod
    def _any_case(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value


class _Headers(Contract):
    task: _Name
    id: _Name
    eta: _Time | None = None
    expires: _Time | None = None

    @field_validator("eta")
    @classmethod
    def _is_near(cls, value: str | None) -> str | None:
        latest = datetime.now(UTC) + timedelta(seconds=VISIBILITY_TIMEOUT_SECONDS)
        if value is not None and datetime.fromisoformat(value) > latest:
            raise ValueError("lies more than 12 hours ahead; publish the message later")
        return value


class _Envelope(Contract):
    """A message as kombu writes it into a list of Redis."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    body: StrictStr
    content_type: Literal["application/json"] = Field(alias="content-type")
    content_encoding: Literal["utf-8", "utf8", "us-ascii", "ascii", "binary"] | None = Field(
        None, alias="content-encoding"
    )
    properties: _Properties
    headers: dict[str, Any] = Field(default_factory=dict)

    @field_validator("content_encoding", mode="before")
    @classmethod
    def _any_case(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value

    @field_validator("headers", mode="before")
    @classmethod
    def _none_is_absent(cls, value: Any) -> Any:
        return {} if value is None else value


class QueueMessage(Contract):
    """One readable message: the task, its arguments in the order of its parameters, and when to run it."""

    task: str
    task_id: str
    arguments: tuple[str, ...]
    embed: dict[str, JsonValue]
    delivery_tag: str
    priority: int = 0
    eta: str | None = None
    expires: str | None = None

    def headers(self) -> dict[str, JsonValue]:
        """Return the headers of Celery's protocol 2, all that it reads included."""
        return {
            "lang": "py", "task": self.task, "id": self.task_id, "root_id": self.task_id, "parent_id": None,
            "group": None, "eta": self.eta, "expires": self.expires, "retries": 0, "timelimit": [None, None],
            "argsrepr": "(…)", "kwargsrepr": "{}", "origin": "", "ignore_result": True,
        }  # fmt: skip

    def body(self) -> bytes:
        """Return the body of Celery's protocol 2."""
        return orjson.dumps([self.arguments, {}, self.embed])

    def envelope(self, queue: str) -> bytes:
        """Return the message as kombu writes it into a list of Redis; if put back, it goes to its own queue."""
        properties = {
            "correlation_id": self.task_id, "reply_to": "", "delivery_mode": 2, "priority": self.priority,
            "delivery_info": {"exchange": "", "routing_key": queue}, "body_encoding": "base64",
            "delivery_tag": self.delivery_tag,
        }  # fmt: skip
        message = {
            "body": base64.b64encode(self.body()).decode(), "content-type": "application/json",
            "content-encoding": "utf-8", "headers": self.headers(), "properties": properties,
        }  # fmt: skip
        return orjson.dumps(message)


def parse_json(text: bytes | str, what: str) -> Any:
    """Return the value of a JSON text; `what` is the subject of the UnreadableMessageError."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise UnreadableMessageError(f"{what} is no JSON: {error}") from error
    if fault := shape_fault(value, max_depth=MAX_DEPTH, max_values=MAX_VALUES):
        raise UnreadableMessageError(f"{what} {fault}")
    return value


def read_envelope(raw: bytes, *, max_bytes: int) -> QueueMessage:
    """Read an item of a queue's list. Raises UnreadableMessageError, whose message is the reason."""
    _check_size(len(raw), max_bytes)
    value = parse_json(raw, "the message")
    if not isinstance(value, dict):
        raise UnreadableMessageError(f"the message is no object but {_kind(value)}")
    return read_message(value, max_bytes=max_bytes)


def read_message(envelope: Mapping[str, Any], *, max_bytes: int) -> QueueMessage:
    """Read a message whose envelope is known. Raises UnreadableMessageError, whose message is the reason."""
    try:
        _check_size(len(str(envelope.get("body") or "")), max_bytes)
        read = _Envelope.model_validate(envelope)
        body = parse_json(_decompressed(_decoded(read), read.headers.get("compression"), max_bytes), "the body")
        headers: Mapping[str, Any] = read.headers
        if headers.get("task") is None and isinstance(body, dict):
            headers, body = _as_protocol_2(headers, body)
        return _message(read, _Headers.model_validate(headers), body)
    except ValidationError as error:
        raise UnreadableMessageError(explain(error)) from error


def _check_size(size_bytes: int, max_bytes: int) -> None:
    if size_bytes > max_bytes:
        raise UnreadableMessageError(f"the message has {size_bytes:,} bytes, more than modem.max_message_bytes")


def explain(error: ValidationError) -> str:
    """Return the validation errors in one line, without the message's own data."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    shown = [
        f"{'.'.join(str(part) for part in problem['loc']) or 'the message'}: {_sentence(problem['msg'])}"
        for problem in problems[:_SHOWN_PROBLEMS]
    ]
    more = f"; and {len(problems) - _SHOWN_PROBLEMS} more" if len(problems) > _SHOWN_PROBLEMS else ""
    return f"{'; '.join(shown)}{more}"[:_MAX_REASON_CHARS]


def _sentence(message: str) -> str:
    """Return pydantic's sentence without the names of our own classes and errors."""
    return message.removeprefix("Value error, ").partition(" or instance of ")[0]


def _message(envelope: _Envelope, headers: _Headers, body: Any) -> QueueMessage:
    if headers.task not in PARAMETERS:
        raise UnreadableMessageError(f"no task is called {headers.task[:100]!r}; there are {', '.join(PARAMETERS)}")
    args, kwargs, embed = _parts(body)
    return QueueMessage(
        task=headers.task,
        task_id=headers.id,
        arguments=_arguments(headers.task, args, kwargs),
        embed=embed,
        delivery_tag=envelope.properties.delivery_tag,
        priority=_priority(envelope.properties.priority),
        eta=headers.eta,
        expires=headers.expires,
    )


def _decoded(envelope: _Envelope) -> bytes:
    if envelope.properties.body_encoding != "base64":
        return envelope.body.encode()
    try:
        return base64.b64decode("".join(envelope.body.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise UnreadableMessageError(f"the body is no base64: {error}") from error


def _decompressed(body: bytes, compression: object, max_bytes: int) -> bytes:
    if compression is None:
        return body
    if compression not in _COMPRESSIONS:
        raise UnreadableMessageError(f"the compression is none of {', '.join(_COMPRESSIONS)}")
    decompressor = zlib.decompressobj()
    try:
        decompressed = decompressor.decompress(body, max_bytes)
    except zlib.error as error:
        raise UnreadableMessageError(f"the body cannot be decompressed: {error}") from error
    if decompressor.unconsumed_tail:
        raise UnreadableMessageError("the body is larger than modem.max_message_bytes once it is decompressed")
    return decompressed


def _as_protocol_2(headers: Mapping[str, Any], body: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[Any]]:
    embed = {name: body.get(name) for name in ("callbacks", "errbacks", "chord")}
    named = {name: body.get(name) for name in ("task", "id", "eta", "expires")}
    return {**headers, **named}, [body.get("args") or [], body.get("kwargs") or {}, embed]


def _parts(body: Any) -> tuple[list[Any], dict[str, Any], dict[str, JsonValue]]:
    if not (isinstance(body, list) and len(body) == 3):
        raise UnreadableMessageError(f"the body is not [args, kwargs, embed] but {_kind(body)}")
    args, kwargs, embed = body
    if not isinstance(args, list):
        raise UnreadableMessageError(f"the args are no list but {_kind(args)}")
    if not isinstance(kwargs, dict):
        raise UnreadableMessageError(f"the kwargs are no object but {_kind(kwargs)}")
    if not isinstance(embed, dict | None):
        raise UnreadableMessageError(f"the embed is no object but {_kind(embed)}")
    embed = embed or {}
    for name, kind in (("callbacks", list), ("errbacks", list), ("chain", list), ("chord", dict)):
        if not isinstance(embed.get(name), kind | None):
            raise UnreadableMessageError(f"embed.{name} is {_kind(embed[name])}")
    return args, kwargs, {name: embed.get(name) for name in ("callbacks", "errbacks", "chain", "chord")}


def _arguments(task: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[str, ...]:
    parameters = PARAMETERS[task]
    named = {**dict(zip(parameters, args, strict=False)), **kwargs}
    if len(args) + len(kwargs) != len(parameters) or set(named) != set(parameters):
        raise UnreadableMessageError(f"{task} takes the arguments {', '.join(parameters)}, and no others")
    for name in parameters:
        if not isinstance(named[name], str):
            raise UnreadableMessageError(f"the argument {name} is no text but {_kind(named[name])}")
        if task == EXECUTE_RUN_TASK and not is_plain_text(named[name], max_chars=_MAX_ID_CHARS):
            raise UnreadableMessageError(f"the argument {name} is no id of a thread or run")
    return tuple(named[name] for name in parameters)


def _priority(value: Any) -> int:
    return min(max(value, 0), 9) if isinstance(value, int) else 0


def _kind(value: Any) -> str:
    if isinstance(value, list):
        return f"a list of {len(value)}"
    names = {dict: "an object", str: "a text", bool: "a truth value", type(None): "null"}
    return names.get(type(value), "a number")
