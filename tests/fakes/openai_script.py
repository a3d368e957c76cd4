"""What the fake OpenAI server is told to answer, and the chunks that make up an answer."""

import json
from collections.abc import Iterator, Mapping
from itertools import chain, zip_longest
from pathlib import Path

from pydantic import BaseModel, ConfigDict, JsonValue, TypeAdapter


class Call(BaseModel):
    """One tool call; `id` None is left out, as some servers do. Arguments as text are sent as they are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    arguments: dict[str, JsonValue] | str = ""
    id: str | None = "auto"

    def arguments_json(self) -> str:
        return self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments)


class Answer(BaseModel):
    """One answer of the server; see the comments for the ways in which it can misbehave."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str = ""
    reasoning: str = ""
    calls: tuple[Call, ...] = ()
    finish_reason: str | None = None  # by default stop, or tool_calls
    input_tokens: int = 10
    output_tokens: int = 5
    cached_tokens: int = 0
    with_usage: bool = True
    piece: int = 7  # characters per delta; 0: everything in one delta
    repeat_ids: bool = False  # the call's id and name stand in every delta
    status: int = 200
    headers: dict[str, str] = {}
    error: str = "the script says so"
    raw: tuple[str, ...] | None = None  # sent instead of chunks, as they are
    delay: float = 0.0  # seconds before each chunk
    cut_after: int | None = None  # the connection breaks after so many chunks
    end_after: int | None = None  # the answer ends well-formed after so many chunks
    hang_after: int | None = None  # nothing more comes after so many chunks, the connection stays
    when: str = ""  # used only for a request that contains this text
    times: int = 1  # how often it may be used; 0: for ever


Script = tuple[Answer, ...]


def load_script(path: Path) -> Script:
    """Read a JSON list of answers."""
    return TypeAdapter(Script).validate_json(path.read_bytes())


def chunks(answer: Answer, model: str) -> Iterator[str]:
    """Yield the server-sent events of an answer."""
    if answer.raw is not None:
        yield from answer.raw
        return
    for delta in _deltas(answer):
        yield _chunk(model, [{"index": 0, "delta": dict(delta), "finish_reason": None}])
    reason = answer.finish_reason or ("tool_calls" if answer.calls else "stop")
    yield _chunk(model, [{"index": 0, "delta": {}, "finish_reason": reason}])
    if answer.with_usage:
        yield _chunk(model, [], usage=_usage(answer))
    yield "data: [DONE]\n\n"


def _deltas(answer: Answer) -> Iterator[Mapping[str, JsonValue]]:
    yield {"role": "assistant", "content": ""}
    yield from ({"reasoning_content": piece} for piece in _pieces(answer.reasoning, answer.piece))
    yield from ({"content": piece} for piece in _pieces(answer.text, answer.piece))
    streams = [list(_call_deltas(index, call, answer)) for index, call in enumerate(answer.calls)]
    # Parallel calls are interleaved: the assembling side has to go by the index.
    yield from ({"tool_calls": [delta]} for delta in chain(*zip_longest(*streams)) if delta is not None)


def _call_deltas(index: int, call: Call, answer: Answer) -> Iterator[dict[str, JsonValue]]:
    head: dict[str, JsonValue] = {"type": "function"}
    if call.id is not None:
        head["id"] = f"call_{index}" if call.id == "auto" else call.id
    pieces = _pieces(call.arguments_json(), answer.piece)
    if answer.piece == 0:
        yield {"index": index, **head, "function": {"name": call.name, "arguments": "".join(pieces)}}
        return
    yield {"index": index, **head, "function": {"name": call.name, "arguments": ""}}
    for piece in pieces:
        if answer.repeat_ids:
            yield {"index": index, **head, "function": {"name": call.name, "arguments": piece}}
        else:
            yield {"index": index, "function": {"arguments": piece}}


def _pieces(text: str, size: int) -> list[str]:
    if size == 0:
        return [text] if text else []
    return [text[start : start + size] for start in range(0, len(text), size)]


def _usage(answer: Answer) -> dict[str, JsonValue]:
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.input_tokens + answer.output_tokens,
        "prompt_tokens_details": {"cached_tokens": answer.cached_tokens},
    }


def _chunk(model: str, choices: list[JsonValue], usage: dict[str, JsonValue] | None = None) -> str:
    body = {
        "id": "chatcmpl-fake",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": model,
        "choices": choices,
        "usage": usage,
    }
    return f"data: {json.dumps(body)}\n\n"
