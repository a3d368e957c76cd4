"""Answers that are written below ASGI, where no request has come about: the body that all errors have, and the end."""

from http import HTTPStatus

from shared.contract.api import ErrorResponse
from shared.ids import new_id


def raw_answer(status: HTTPStatus, code: str, detail: str) -> bytes:
    """Return a whole answer of HTTP/1.1 after which the connection is closed."""
    request_id = new_id()
    body = ErrorResponse(detail=detail, code=code, request_id=request_id).model_dump_json().encode()
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        "content-type: application/json\r\n"
        f"content-length: {len(body)}\r\n"
        f"x-request-id: {request_id}\r\n"
        "connection: close\r\n\r\n"
    )
    return head.encode() + body
