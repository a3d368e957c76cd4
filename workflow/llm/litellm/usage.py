"""Tokens, context windows and prices as LiteLLM knows them, without network access."""

import asyncio
from typing import Any

import litellm

from shared.config import LLMConfig
from shared.contract.run import Usage
from workflow.llm.litellm.setup import set_up_litellm, with_provider
from workflow.llm.model import ModelRequest
from workflow.llm.openai_format import to_openai_messages, to_openai_tools
from workflow.llm.token_counter import CHARS_PER_TOKEN, DEFAULT_CONTEXT_WINDOW

_COUNTED_CHARS_PER_TOKEN = 16  # with more characters per token of the context the request does not fit anyway


class LiteLLMCounter:
    """Counts with the tokeniser that LiteLLM ships for the model."""

    def __init__(self, config: LLMConfig, model: str) -> None:
        set_up_litellm()
        self._model = with_provider(model, config)
        self.context_window = config.context_window or _known_context_window(self._model) or DEFAULT_CONTEXT_WINDOW

    async def count_tokens(self, request: ModelRequest) -> int:
        """Count in a thread; a request that is far too long is estimated, because no thread can be ended."""
        size = len(request.system) + sum(message.size() for message in request.messages)
        if size > self.context_window * _COUNTED_CHARS_PER_TOKEN:
            return size // CHARS_PER_TOKEN
        return await asyncio.to_thread(self._count, request)

    def _count(self, request: ModelRequest) -> int:
        tokens: int = litellm.token_counter(
            model=self._model,
            messages=to_openai_messages(request),
            tools=to_openai_tools(request.tools) or None,
            use_default_image_token_count=True,  # otherwise it downloads the images
        )
        return tokens


def to_usage(usage: Any, model: str) -> Usage:
    """Return what LiteLLM counted; a model without a known price costs nothing."""
    if usage is None:
        return Usage()
    details = getattr(usage, "prompt_tokens_details", None)
    return Usage(
        input_tokens=usage.prompt_tokens or 0,
        output_tokens=usage.completion_tokens or 0,
        cached_tokens=getattr(details, "cached_tokens", None) or 0,
        cost_usd=_cost(usage, model),
    )


def _cost(usage: Any, model: str) -> float:
    try:
        return sum(litellm.cost_per_token(model=model, usage_object=usage))
    except litellm.exceptions.ModelNotMappedError:
        return 0.0


def _known_context_window(model: str) -> int:
    try:
        return litellm.get_model_info(model).get("max_input_tokens") or 0
    except litellm.exceptions.ModelNotMappedError:
        return 0
