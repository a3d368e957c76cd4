"""Process-wide settings of LiteLLM, made once: quiet, no callbacks.

LiteLLM downloads its price table while it is imported unless LITELLM_LOCAL_MODEL_COST_MAP is
"True" by then. The entry points of processes set that, and the factory does before the first import.
"""

import functools
import warnings

import litellm

from shared.config import LLMConfig


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
