"""Turns errors into responses: one table from error to status, one body for all."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError, ValidationException, WebSocketRequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from gateway.service.stream.types import ControlEvent
from gateway.service.validation_message import validation_message
from shared.contract.api import ErrorResponse
from shared.errors import (
    BaudError,
    ConflictError,
    ForbiddenError,
    ForeignHostError,
    InvalidRequestError,
    LimitReachedError,
    MessageTooBigError,
    NotFoundError,
    UnauthenticatedError,
    UnavailableError,
)

RETRY_AFTER_SECONDS: Final = 2
INTERNAL_SENTENCE: Final = "The server met a fault. Its log has more under this request_id."

# The first match along the error's classes counts, so that a subclass may differ from its base.
_STATUS: Final[Mapping[type[BaudError], int]] = {
    NotFoundError: 404,
    ConflictError: 409,
    MessageTooBigError: 413,
    InvalidRequestError: 400,
    UnauthenticatedError: 401,
    ForeignHostError: 421,
    ForbiddenError: 403,
    LimitReachedError: 429,
    UnavailableError: 503,
    BaudError: 500,
}
# The same request may succeed a moment later.
PASSING: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_CODES: Final[Mapping[int, str]] = {
    400: "bad_request",
    401: "unauthenticated",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "body_too_large",
    422: "invalid_request",
    500: "internal_error",
}
# What a request of any route may be answered, whatever the route does.
ANY_REQUEST: Final[Mapping[HTTPStatus, str]] = {
    HTTPStatus.BAD_REQUEST: "bad_request",
    HTTPStatus.REQUEST_TIMEOUT: "request_timeout",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "body_too_large",
    HTTPStatus.UNPROCESSABLE_ENTITY: "invalid_request",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "head_too_large",
    HTTPStatus.INTERNAL_SERVER_ERROR: BaudError.code,
}

logger = logging.getLogger(__name__)


def add_error_handlers(app: FastAPI) -> None:
    """Make every error of the app leave as an ErrorResponse."""
    app.add_exception_handler(BaudError, _on_baud_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(WebSocketRequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_error)


def error_response(
    request_id: str, status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None
) -> Response:
    """Return the one body that all errors have."""
    body = ErrorResponse(detail=detail, code=code, request_id=request_id)
    return Response(body.model_dump_json(), status, dict(headers or {}), media_type="application/json")


def refuse_request(scope: Scope, error: BaudError) -> Response:
    """Return the response of a request that is refused before it reaches a route."""
    status, code, sentence = _disclose(error)
    return error_response(scope["state"]["request_id"], status, code, sentence, headers=_headers_of(status))


def refuse_message(error: BaudError, request_id: str | None) -> ControlEvent:
    """Return the `error` event that answers a message over a WebSocket; `request_id` is the client's."""
    status, code, sentence = _disclose(error)
    data = {"error": sentence, "error_type": code, "status": status, "request_id": request_id}
    return ControlEvent("error", orjson.dumps(data))


def status_of(error: type[BaudError]) -> int:
    """Return the HTTP status of a kind of error."""
    return next(_STATUS[kind] for kind in error.__mro__ if kind in _STATUS)


def _disclose(error: BaudError) -> tuple[int, str, str]:
    """Return status, code and sentence for the client; the details of an internal error go into the log."""
    status = status_of(type(error))
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("a request failed", exc_info=error)
        return status, BaudError.code, INTERNAL_SENTENCE
    return status, error.code, error.message


async def _on_baud_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, BaudError)
    status, code, sentence = _disclose(error)
    return error_response(_request_id(request), status, code, sentence, headers=_headers_of(status))


def _headers_of(status: int) -> Mapping[str, str] | None:
    if status == HTTPStatus.UNAUTHORIZED:
        return {"WWW-Authenticate": "Bearer"}  # RFC 6750, section 3
    return {"Retry-After": str(RETRY_AFTER_SECONDS)} if status in PASSING else None


async def _on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ValidationException)
    return error_response(_request_id(request), 422, "invalid_request", validation_message(error.errors()))


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.BAD_REQUEST and isinstance(error.__cause__, ValueError | RecursionError):
        # FastAPI's error for JSON that Python cannot read: bytes that are no text, a number of 4,300 digits or more.
        return error_response(_request_id(request), 422, "invalid_request", "the body is not JSON that can be read")
    code = _CODES.get(error.status_code, "http_error")
    return error_response(_request_id(request), error.status_code, code, str(error.detail), headers=error.headers)


def _request_id(request: Request) -> str:
    request_id: str = request.state.request_id
    return request_id
