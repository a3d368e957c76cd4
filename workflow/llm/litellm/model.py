"""The Model over LiteLLM: one streaming call, read chunk by chunk; it neither retries nor logs."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

import litellm
import openai

from shared.config import LLMConfig
from shared.contract.run import Usage
from workflow.errors import TransientModelError
from workflow.llm.cache import mark_last_tool, mark_messages, wants_cache_marks
from workflow.llm.litellm.setup import set_up_litellm, with_provider
from workflow.llm.litellm.usage import to_usage
from workflow.llm.model import (
    MAX_ANSWER_CHARS,
    DeltaKind,
    FinishReason,
    ModelAnswer,
    ModelRequest,
    StreamItem,
    TextDelta,
)
from workflow.llm.openai_format import to_openai_messages, to_openai_tools
from workflow.llm.provider_errors import translate
from workflow.llm.tool_call_assembly import ToolCallAssembly
from workflow.llm.whole_characters import WholeCharacters

FINISH_REASONS: Mapping[str, FinishReason] = {
    "length": FinishReason.LENGTH,
    "content_filter": FinishReason.REFUSED,
    "refusal": FinishReason.REFUSED,
}
# LiteLLM keeps all chunks; a server sends at most one per token.
MAX_CHUNKS = 262_144
# LiteLLM's own timeout is a little longer than ours, so that ours makes the error message.
TIMEOUT_MARGIN_SECONDS = 5.0
CHARS_PER_TOKEN = 4  # roughly, in English and in code


class LiteLLMModel:
    """Asks one model of one provider. Errors are those of the port."""

    def __init__(self, config: LLMConfig, model: str) -> None:
        """`model` is `provider/name`; the provider may be left out where `base_url` is set."""
        set_up_litellm()
        self._config = config
        self._model = with_provider(model, config)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[StreamItem, None]:
        """Yield text as it comes, then the answer."""
        answer = _AnswerSoFar()
        async with aclosing(self._chunks(request)) as chunks:
            async for chunk in chunks:
                for delta in answer.add(chunk):
                    yield delta
                if answer.is_too_long:  # return what there is; a model may never stop by itself
                    break
        yield answer.finish(self._model)

    async def _chunks(self, request: ModelRequest) -> AsyncGenerator[Any, None]:
        try:
            response = await self._wait_for(litellm.acompletion(**self._arguments(request)))
            async with aclosing(response):
                while (chunk := await self._wait_for(anext(response, None))) is not None:
                    yield chunk
                    # Buffered chunks would otherwise be read without giving other runs a turn on the event loop.
                    await asyncio.sleep(0)
                if response.received_finish_reason is None:
                    # LiteLLM makes up a "stop" where a connection was closed early but cleanly.
                    raise TransientModelError(f"{self._model}: the provider's answer broke off before its end.")
        except openai.OpenAIError as error:
            raise translate(error, self._config, self._model) from error

    async def _wait_for(self, answer: Any) -> Any:
        try:
            async with asyncio.timeout(self._config.timeout):
                return await answer
        except TimeoutError as error:
            raise TransientModelError(
                f"{self._model}: no answer for {self._config.timeout:g} s (llm.timeout)."
            ) from error

    def _arguments(self, request: ModelRequest) -> dict[str, Any]:
        config = self._config
        messages, tools = to_openai_messages(request), to_openai_tools(request.tools)
        if wants_cache_marks(self._model):
            messages, tools = mark_messages(messages), mark_last_tool(tools)
        optional: dict[str, Any] = {
            "tools": tools or None,
            "temperature": config.temperature,
            "api_base": config.base_url or None,
            "api_key": config.api_key.get_secret_value() or None,
        }
        return {
            "model": self._model,
            "messages": messages,
            "max_tokens": config.max_output_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
            "timeout": config.timeout + TIMEOUT_MARGIN_SECONDS,
            "num_retries": 0,
            "max_retries": 0,
            # Without it LiteLLM imports its MCP gateway for every call with tools, which needs the mcp package.
            "_skip_mcp_handler": True,
            **{name: value for name, value in optional.items() if value is not None},
        }


class _AnswerSoFar:
    """Collects the chunks of one answer."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._chars = 0
        self._content = WholeCharacters()
        self._reasoning = WholeCharacters()
        self._calls = ToolCallAssembly()
        self._finish_reason: str | None = None
        self._usage: Any = None
        self._refused = False
        self._chunks = 0

    @property
    def is_too_long(self) -> bool:
        """Whether a limit of one answer is exceeded."""
        return self._chars > MAX_ANSWER_CHARS or self._chunks > MAX_CHUNKS or self._calls.is_too_long

    def add(self, chunk: Any) -> list[TextDelta]:
        """Add one chunk; return the text in it."""
        self._chunks += 1
        self._usage = getattr(chunk, "usage", None) or self._usage
        if not chunk.choices:
            return []
        choice = chunk.choices[0]
        self._finish_reason = choice.finish_reason or self._finish_reason
        for call in choice.delta.tool_calls or ():
            self._calls.add(
                index=call.index, call_id=call.id, name=call.function.name, arguments=call.function.arguments
            )
        return self._text_of(choice.delta)

    def finish(self, model: str) -> ModelAnswer:
        """Return the complete answer."""
        calls = self._calls.calls()
        reason = FINISH_REASONS.get(self._finish_reason or "", FinishReason.STOP)
        if self._chars > MAX_ANSWER_CHARS or self._chunks > MAX_CHUNKS:
            reason = FinishReason.LENGTH
        if self._refused:
            reason = FinishReason.REFUSED
        elif calls and reason is FinishReason.STOP:
            reason = FinishReason.TOOL_CALLS
        return ModelAnswer("".join(self._text), calls, reason, self._usage_of(model))

    def _usage_of(self, model: str) -> Usage:
        """Return what the provider counted; an answer that was broken off is estimated, so that limits hold."""
        if self._usage is None and self.is_too_long:
            return Usage(output_tokens=(self._chars + self._calls.chars) // CHARS_PER_TOKEN)
        return to_usage(self._usage, model)

    def _text_of(self, delta: Any) -> list[TextDelta]:
        deltas = []
        if reasoning := self._reasoning.feed(getattr(delta, "reasoning_content", None) or ""):
            deltas.append(TextDelta(reasoning, DeltaKind.REASONING))
        refusal = getattr(delta, "refusal", None)
        self._refused = self._refused or bool(refusal)
        if text := self._content.feed(delta.content or refusal or ""):
            self._text.append(text)
            deltas.append(TextDelta(text))
        self._chars += sum(len(delta.text) for delta in deltas)
        return deltas
