"""Translates LiteLLM's exceptions into the engine's errors.

Messages name the model and what to do, and are safe to show: a provider's own text is quoted only
where it says what was wrong with the request, and never with the key in it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import openai
from litellm.exceptions import ContentPolicyViolationError, ContextWindowExceededError

from shared.config import LLMConfig
from workflow.errors import ContextOverflowError, ModelError, PermanentModelError, TransientModelError

MAX_PROVIDER_WORDS = 300  # characters

# Statuses not listed here are permanent below 500, and transient from 500 on.
TRANSIENT_STATUSES = frozenset({408, 409, 425, 429})
NO_ANSWER = 599  # our own number: no status, or the answer broke off
ADVICE: Mapping[int, str] = {
    401: "refused the API key. Set {variable}, or BAUD_LLM__API_KEY for this model alone.",
    402: "says that the account has no credit. Top it up, or choose another llm.model.",
    403: "does not allow this key to use the model. Choose another llm.model, or another key.",
    404: "does not know the model or the address. Check llm.model and llm.base_url. It said: {words}",
    408: "took too long to answer.",
    413: "says that the request is too large. It said: {words}",
    429: "has a rate limit, which is reached.",
    NO_ANSWER: "cannot be reached, or broke the answer off. If this stays, check llm.base_url. Reason: {words}",
}
DEFAULT_PERMANENT = "refused the request ({status}). It said: {words}"
DEFAULT_TRANSIENT = "failed ({status}), which may pass. It said: {words}"

_OVERFLOW = re.compile(r"context (length|window|size)|prompt is too long|too many tokens", re.IGNORECASE)

KEY_VARIABLES: Mapping[str, str] = {"anthropic": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY"}


@dataclass(frozen=True, slots=True)
class _Failure:
    status: int
    words: str
    retry_after_seconds: float | None


def translate(error: Exception, config: LLMConfig, model: str) -> ModelError:
    """Return the engine's error for one of LiteLLM's; `model` is the name as LiteLLM was given it."""
    cause = getattr(error, "original_exception", None) or error
    failure = _Failure(_status(cause), _words(cause, config), _retry_after(cause))
    if isinstance(cause, ContextWindowExceededError) or _is_overflow(failure):
        return ContextOverflowError(f"{model}: the conversation is longer than the model can read.")
    if isinstance(cause, ContentPolicyViolationError):
        return PermanentModelError(f"{model}: the provider's content policy refused the request.")
    if failure.status == 429 and "insufficient_quota" in failure.words:
        return PermanentModelError(_sentence(402, model, failure))
    if failure.status in TRANSIENT_STATUSES or failure.status >= 500:
        return TransientModelError(
            _sentence(failure.status, model, failure), retry_after_seconds=failure.retry_after_seconds
        )
    return PermanentModelError(_sentence(failure.status, model, failure))


def _is_overflow(failure: _Failure) -> bool:
    # Self-hosted servers use messages that LiteLLM does not know.
    return failure.status in (400, 413) and bool(_OVERFLOW.search(failure.words))


def _sentence(status: int, model: str, failure: _Failure) -> str:
    default = DEFAULT_TRANSIENT if status >= 500 or status in TRANSIENT_STATUSES else DEFAULT_PERMANENT
    provider = model.partition("/")[0]
    variable = KEY_VARIABLES.get(provider, f"{provider.upper()}_API_KEY")
    text = ADVICE.get(status, default).format(variable=variable, words=failure.words, status=status)
    return f"{model}: the provider {text}"


def _status(error: Exception) -> int:
    if isinstance(error, openai.APITimeoutError):
        return 408
    if isinstance(error, openai.APIConnectionError):
        return NO_ANSWER
    status = getattr(error, "status_code", None)
    return status if isinstance(status, int) else NO_ANSWER


def _words(error: Exception, config: LLMConfig) -> str:
    text = re.sub(r"^(litellm\.\w{1,80}: |\w{1,80}Exception - |\w{1,80}Error: ){1,5}", "", str(error)).split("\n", 1)[0]
    key = config.api_key.get_secret_value()
    return (text.replace(key, "***") if key else text)[:MAX_PROVIDER_WORDS]


def _retry_after(error: Exception) -> float | None:
    headers = getattr(error, "litellm_response_headers", None)
    value = headers.get("retry-after") if headers is not None else None
    try:
        return max(0.0, float(value)) if value is not None else None
    except ValueError:
        return None
