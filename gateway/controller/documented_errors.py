"""The errors in the OpenAPI document: which status each route may answer, from the one table of errors."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from gateway.controller.error_handlers import ANY_REQUEST, PASSING, status_of
from shared.contract.api import ErrorResponse
from shared.errors import (
    BaudError,
    DatabaseUnavailableError,
    ForeignHostError,
    ForeignOriginError,
    InvalidCredentialError,
    InvalidRequestError,
    InvalidStreamIdError,
    IssuerUnavailableError,
    MissingScopeError,
    ReadOnlyThreadError,
    ShuttingDownError,
    StoreUnavailableError,
    TooManyStreamsError,
    UnauthenticatedError,
)

Responses = dict[int | str, Any]

_TEXT: Final[Mapping[str, str]] = {"type": "string"}
_RETRY_AFTER: Final = {"Retry-After": {"description": "seconds to wait", "schema": {"type": "integer"}}}
_OF_BROWSERS: Final = (ForeignHostError, ForeignOriginError)
_OF_CREDENTIALS: Final = (
    UnauthenticatedError,
    InvalidCredentialError,
    MissingScopeError,
    ReadOnlyThreadError,
    IssuerUnavailableError,
    DatabaseUnavailableError,
)
_OF_STREAMS: Final = (InvalidRequestError, InvalidStreamIdError, TooManyStreamsError, ShuttingDownError)


def may_answer(*errors: type[BaudError]) -> Responses:
    """Return the `responses` of a route that asks who asks, and Redis, and may raise these errors."""
    return _responses(*errors, *_OF_BROWSERS, *_OF_CREDENTIALS, StoreUnavailableError)


def may_stream(*errors: type[BaudError]) -> Responses:
    """Return the `responses` of a route that streams events."""
    events = {"description": "Events until the stream ends.", "content": {"text/event-stream": {"schema": _TEXT}}}
    return {200: events, **may_answer(*_OF_STREAMS, *errors)}


def may_answer_without_redis(*errors: type[BaudError]) -> Responses:
    """Return the `responses` of a route that does not use Redis."""
    return _responses(*errors)


def _responses(*errors: type[BaudError]) -> Responses:
    codes: dict[int, set[str]] = {status.value: {code} for status, code in ANY_REQUEST.items()}
    for error in errors:
        codes.setdefault(status_of(error), set()).add(error.code)
    return {status: _response(HTTPStatus(status), found) for status, found in sorted(codes.items())}


def _response(status: HTTPStatus, codes: set[str]) -> dict[str, Any]:
    words = " or ".join(f"`{code}`" for code in sorted(codes))
    response: dict[str, Any] = {"model": ErrorResponse, "description": f"{status.phrase}: `code` is {words}"}
    return {**response, "headers": _RETRY_AFTER} if status in PASSING else response
