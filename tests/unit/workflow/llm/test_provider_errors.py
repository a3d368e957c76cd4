"""LiteLLM's exceptions become the engine's errors, with messages that name the model and what to do."""

import httpx
import pytest
from litellm.exceptions import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ContentPolicyViolationError,
    ContextWindowExceededError,
    MidStreamFallbackError,
    RateLimitError,
    Timeout,
)
from pydantic import SecretStr

from shared.config import LLMConfig
from workflow.errors import ContextOverflowError, ModelError, PermanentModelError, TransientModelError
from workflow.llm.provider_errors import translate

CONFIG = LLMConfig(api_key=SecretStr("sk-secret"))
MODEL = "anthropic/some-model"


def error_of(status: int, words: str = "no", **headers: str) -> Exception:
    error = APIError(status_code=status, message=words, llm_provider="anthropic", model=MODEL)
    vars(error)["litellm_response_headers"] = httpx.Headers(headers)
    return error


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (AuthenticationError("no", "anthropic", MODEL), PermanentModelError, "ANTHROPIC_API_KEY"),
        (error_of(402), PermanentModelError, "no credit"),
        (error_of(403), PermanentModelError, "does not allow"),
        (error_of(418, "I am a teapot"), PermanentModelError, "I am a teapot"),
        (error_of(502), TransientModelError, "may pass"),
        (BadRequestError("wrong shape", MODEL, "anthropic"), PermanentModelError, "wrong shape"),
        (ContextWindowExceededError("long", MODEL, "anthropic"), ContextOverflowError, "longer"),
        (BadRequestError("exceeds the available context size", MODEL, "openai"), ContextOverflowError, "longer"),
        (ContentPolicyViolationError("no", MODEL, "anthropic"), PermanentModelError, "content policy"),
        (RateLimitError("slow", "anthropic", MODEL), TransientModelError, "rate limit"),
        (RateLimitError("insufficient_quota", "openai", MODEL), PermanentModelError, "no credit"),
        (Timeout("late", MODEL, "anthropic"), TransientModelError, "too long"),
        (
            MidStreamFallbackError("cut", MODEL, "anthropic", original_exception=error_of(529)),
            TransientModelError,
            "529",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_each_failure_has_its_error(error: Exception, kind: type[ModelError], words: str) -> None:
    translated = translate(error, CONFIG, MODEL)
    assert type(translated) is kind
    assert words in translated.message
    assert MODEL in translated.message


@pytest.mark.parametrize(("value", "seconds"), [("7", 7.0), ("0.5", 0.5), ("-1", 0.0), ("tomorrow", None)])
def test_retry_after_is_read_where_it_is_a_number(value: str, seconds: float | None) -> None:
    translated = translate(error_of(429, **{"retry-after": value}), CONFIG, MODEL)
    assert isinstance(translated, TransientModelError)
    assert translated.retry_after_seconds == seconds


def test_the_key_is_never_in_a_message() -> None:
    message = translate(error_of(400, "key sk-secret is odd"), CONFIG, MODEL).message
    assert "sk-secret" not in message
    assert "***" in message


def test_an_unknown_provider_is_asked_for_its_own_variable() -> None:
    error = AuthenticationError("no", "mistral", "mistral/large")
    assert "MISTRAL_API_KEY" in translate(error, CONFIG, "mistral/large").message
