"""Error responses written below ASGI, where there is no request yet: the common error body, then the close."""

from http import HTTPStatus

from shared.contract.api import ErrorResponse
from shared.ids import new_id


def raw_answer(status: HTTPStatus, code: str, detail: str) -> bytes:
    """Return a complete HTTP/1.1 response after which the connection is closed."""
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
