"""Reads error responses and Retry-After headers."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from pydantic import ValidationError

from baud.sdk.errors import ApiError, AuthenticationError, PermissionDeniedError
from shared.contract.api import ErrorResponse

LONGEST_REFUSAL_BYTES = 65_536  # of an error response; a proxy's page may be endless
_LONGEST_DETAIL = 300
_HEAD_CHARS = 16_384  # of a page, in which its title is looked for: the page may come from anyone
_TITLE = re.compile(r"<title(?:\s[^>]{0,200})?>([^<]*)", re.IGNORECASE)
_PASSING = frozenset({408, 425, 429})
UNAUTHORIZED = 401
_KINDS = {UNAUTHORIZED: AuthenticationError, 403: PermissionDeniedError}


def is_temporary(status: int) -> bool:
    """Whether the same request may succeed a moment later."""
    return status in _PASSING or status >= 500


def error_from(status: int, body: bytes) -> ApiError:
    """Return the error of a response, also of one that a proxy wrote."""
    kind = _KINDS.get(status, ApiError)
    try:
        error = ErrorResponse.model_validate_json(body)
    except ValidationError:
        return kind(status, "not_from_baud", _foreign_detail(body.decode(errors="replace").strip()))
    return kind(status, error.code, error.detail, error.request_id)


def _foreign_detail(text: str) -> str:
    if text.startswith("<"):
        title = _TITLE.search(text, 0, _HEAD_CHARS)
        named = f" titled {' '.join(title[1].split())[:_LONGEST_DETAIL]!r}" if title else ""
        return f"a page{named}, not an answer of Baud; is this its address, and does the proxy route to it?"
    return text[:_LONGEST_DETAIL] or "an empty answer; is this the address of a Baud gateway?"


def retry_after_seconds(headers: Mapping[str, str]) -> float:
    """Return the seconds that a Retry-After header asks for; 0 when there is none, or it cannot be read."""
    value = headers.get("retry-after", "")
    if value.isascii() and value.isdecimal():
        return float(value)
    until = _moment(value)
    if until is None:
        return 0.0
    # Relative to the response's own Date header, if any: the clocks may differ.
    return max(0.0, (until - (_moment(headers.get("date", "")) or datetime.now(UTC))).total_seconds())


def _moment(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
