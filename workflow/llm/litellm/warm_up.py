"""Imports what LiteLLM would import at its first call, which would block the event loop for a second."""

import importlib
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

# With their own imports 600 modules, including those of a refused call.
LATE_MODULES: Final = (
    "anyio._backends._asyncio",
    "anyio.streams.tls",
    "fastapi",
    "litellm._service_logger",
    "litellm.litellm_core_utils.default_encoding",
    "litellm.llms.edenai.chat.transformation",
    "litellm.llms.fal_ai.chat.transformation",
    "litellm.llms.openai.chat.gpt_audio_transformation",
    "litellm.llms.vertex_ai.vertex_ai_partner_models.anthropic.transformation",
    "litellm.proxy._types",
    "litellm.proxy.guardrails.exception_utils",
    "litellm.proxy.openai_files_endpoints.common_utils",
    "litellm.types.litellm_core_utils.streaming_chunk_builder_utils",
    "openai.resources.chat",
)


def import_late_modules(names: Sequence[str] = LATE_MODULES) -> None:
    """Import them, on any thread but the event loop's; a module that no longer exists is skipped."""
    for name in names:
        with suppress(ImportError):
            importlib.import_module(name)
