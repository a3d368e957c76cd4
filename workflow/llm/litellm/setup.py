"""Prepares LiteLLM in a process: its settings (quiet, no callbacks), made once, and its late imports.

LiteLLM downloads its price table while it is imported unless LITELLM_LOCAL_MODEL_COST_MAP is
"True" by then. The entry points of processes set that, and the factory does before the first import.
"""

import functools
import importlib
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import litellm

from shared.config import LLMConfig

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


@functools.cache
def set_up_litellm() -> None:
    """Apply the settings; further calls do nothing, so that no list of LiteLLM's can grow."""
    # LiteLLM builds its own types at its first call, and pydantic warns about them.
    warnings.filterwarnings("ignore", message="Items? .* using the `ReadOnly` qualifier", category=UserWarning)
    litellm.suppress_debug_info = True
    litellm.drop_params = True
    litellm.turn_off_message_logging = True
    litellm.callbacks = []


def with_provider(model: str, config: LLMConfig) -> str:
    """Return `provider/name`: with `base_url`, a name without a provider is an OpenAI-compatible one."""
    if config.base_url and model.partition("/")[0] not in litellm.provider_list:
        return f"openai/{model}"
    return model


def import_late_modules(names: Sequence[str] = LATE_MODULES) -> None:
    """Import what LiteLLM would import at its first call, which would block the event loop for a second.

    Call it on another thread; a module that no longer exists is skipped.
    """
    for name in names:
        with suppress(ImportError):
            importlib.import_module(name)
