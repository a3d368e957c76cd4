"""Reads what the gateway answers besides the bodies of success: errors, and when to come again."""

from collections.abc import Mapping

from pydantic import ValidationError

from client.errors import ApiError
from shared.contract.api import ErrorResponse

_LONGEST_DETAIL = 300


def error_from(status: int, body: bytes) -> ApiError:
    """Return the error that an answer carries, also when something between us and Baud wrote it."""
    try:
        error = ErrorResponse.model_validate_json(body)
    except ValidationError:
        text = body.decode(errors="replace").strip()[:_LONGEST_DETAIL]
        return ApiError(status, "not_from_baud", text or "an empty answer; is this the address of a Baud gateway?")
    return ApiError(status, error.code, error.detail, error.request_id)


def retry_after_seconds(headers: Mapping[str, str]) -> float:
    """Return the seconds of a Retry-After header; 0 when there is none, or it holds a date."""
    value = headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdecimal() else 0.0
