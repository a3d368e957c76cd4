"""A model adapter that speaks OpenAI's streaming protocol with httpx alone.

LiteLLM takes seconds of a core to import. Tests that start workers of their own, and are about workers, use this in its
place: `llm.model = "python:tests.fakes.small_openai_model:make_model"`. All others ask the provider through LiteLLM.
"""

import json
from collections.abc import AsyncGenerator, Iterable, Iterator
from typing import Any

import httpx

from shared.config import LLMConfig
from shared.contract.run import Usage
from workflow.errors import PermanentModelError, TransientModelError
from workflow.llm.model import FinishReason, ModelAnswer, ModelRequest, StreamItem, TextDelta
from workflow.llm.openai_format import to_openai_messages, to_openai_tools
from workflow.llm.tool_call_assembly import ToolCallAssembly

_MODEL = "gpt-4o-mini"
_RETRIED_STATUS = 500


class SmallOpenAIModel:
    """Asks the server at `llm.base_url`."""

    def __init__(self, config: LLMConfig) -> None:
        self._url = f"{config.base_url}/chat/completions"
        self._timeout = config.timeout

    async def stream(self, request: ModelRequest) -> AsyncGenerator[StreamItem, None]:
        """Yield the text as it comes, then the answer."""
        body = {
            "model": _MODEL,
            "stream": True,
            "messages": to_openai_messages(request),
            "tools": to_openai_tools(request.tools),
        }
        text: list[str] = []
        calls, usage = ToolCallAssembly(), Usage()
        try:
            async with (
                httpx.AsyncClient(trust_env=False, timeout=self._timeout) as http,
                http.stream("POST", self._url, json=body) as answer,
            ):
                if answer.is_error:
                    raise _refusal(answer.status_code, (await answer.aread()).decode())
                async for line in answer.aiter_lines():
                    usage = _usage_of(line) or usage
                    for delta in _deltas_of(line):
                        _assemble(calls, delta.get("tool_calls") or ())
                        if piece := delta.get("content"):
                            text.append(piece)
                            yield TextDelta(piece)
        except httpx.TransportError as error:
            raise TransientModelError(f"The provider cannot be reached: {type(error).__name__}") from error
        made = calls.calls()
        yield ModelAnswer("".join(text), made, FinishReason.TOOL_CALLS if made else FinishReason.STOP, usage)


def _refusal(status: int, said: str) -> Exception:
    return (TransientModelError if status >= _RETRIED_STATUS else PermanentModelError)(f"HTTP {status}: {said}")


def _chunk_of(line: str) -> dict[str, Any]:
    data = line.removeprefix("data: ")
    chunk: dict[str, Any] = json.loads(data) if data.startswith("{") else {}
    return chunk


def _usage_of(line: str) -> Usage | None:
    counted = _chunk_of(line).get("usage")
    return counted and Usage(input_tokens=counted["prompt_tokens"], output_tokens=counted["completion_tokens"])


def _deltas_of(line: str) -> Iterator[dict[str, Any]]:
    for choice in _chunk_of(line).get("choices", ()):
        yield choice["delta"]


def _assemble(calls: ToolCallAssembly, deltas: Iterable[dict[str, Any]]) -> None:
    for delta in deltas:
        function = delta.get("function", {})
        calls.add(
            index=delta["index"],
            call_id=delta.get("id"),
            name=function.get("name"),
            arguments=function.get("arguments"),
        )


def make_model(config: LLMConfig) -> SmallOpenAIModel:
    """Return the model; the adapter that the configuration names."""
    return SmallOpenAIModel(config)
