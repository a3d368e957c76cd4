"""Counts the tokens of a request: the port, and an estimate without a tokeniser."""

import json
from typing import Protocol

from shared.config import LLMConfig
from workflow.llm.model import ModelRequest

DEFAULT_CONTEXT_WINDOW = 128_000  # tokens; of an unknown model
CHARS_PER_TOKEN = 3  # conservative: English prose has four, code and JSON about three
TOKENS_PER_IMAGE = 1_000  # roughly what providers charge for one


class TokenCounter(Protocol):
    """Counts tokens before a request is sent."""

    @property
    def context_window(self) -> int:
        """Tokens that the model can read, its answer not included."""

    async def count_tokens(self, request: ModelRequest) -> int:
        """Return the tokens of the system prompt, the messages and the tools; never blocks the event loop."""


class EstimatingCounter:
    """Counts characters; for models without a tokeniser."""

    def __init__(self, config: LLMConfig) -> None:
        self.context_window = config.context_window or DEFAULT_CONTEXT_WINDOW

    async def count_tokens(self, request: ModelRequest) -> int:
        """Estimate, with no tokeniser."""
        chars = len(request.system) + sum(
            len(tool.description) + len(json.dumps(tool.parameters)) for tool in request.tools
        )
        images = 0
        for message in request.messages:
            chars += len(message.text()) + sum(len(call.name) + len(call.arguments) for call in message.tool_calls)
            images += 0 if isinstance(message.content, str) else sum(part.type != "text" for part in message.content)
        return chars // CHARS_PER_TOKEN + images * TOKENS_PER_IMAGE
