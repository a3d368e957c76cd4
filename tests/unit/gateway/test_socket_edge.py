"""The middleware of every WebSocket: its id, its log line, and an answer to refusals and unexpected errors."""

import asyncio
import logging
from collections.abc import Sequence
from typing import cast

import orjson
import pytest
from fastapi import FastAPI, WebSocket
from starlette.middleware import Middleware
from starlette.types import Message

from gateway.controller.error_handlers import add_error_handlers
from gateway.core.middleware import DENIAL_EXTENSION, BodyLimit, RequestEdge
from gateway.service.socket.commands import SocketCommands
from gateway.service.socket.session import SocketSession
from gateway.service.stream.stream_session import EventStreamSession
from gateway.service.stream.types import control_event_of
from shared.errors import ThreadNotFoundError


def _app() -> FastAPI:
    app = FastAPI(
        middleware=[
            Middleware(RequestEdge, slow_seconds=60.0),
            Middleware(BodyLimit, max_bytes=100, limit_seconds=60.0),
        ]
    )
    add_error_handlers(app)

    @app.websocket("/refused")
    async def refuse(websocket: WebSocket) -> None:
        raise ThreadNotFoundError

    @app.websocket("/limit")
    async def limit(websocket: WebSocket, limit: int) -> None:
        raise AssertionError("never reached")

    @app.websocket("/fault")
    async def fail(websocket: WebSocket, is_early: bool) -> None:
        if not is_early:
            await websocket.accept()
        raise RuntimeError("the password is hunter2")

    return app


async def _connect(path: str, query: str = "", *, extensions: Sequence[str] = (DENIAL_EXTENSION,)) -> list[Message]:
    """Return the messages that the server is asked to send."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "websocket", "path": path, "raw_path": path.encode(), "query_string": query.encode(), "headers": [],
        "subprotocols": [], "extensions": {name: {} for name in extensions},
    }  # fmt: skip
    await _app()(scope, receive, send)
    return sent


@pytest.mark.parametrize(
    ("path", "query", "status", "code"),
    [("/refused", "", 404, "thread_not_found"), ("/limit", "limit=x", 422, "invalid_request"),
     ("/fault", "is_early=1", 500, "internal_error")],
    ids=["refused", "bad query", "fault"],
)  # fmt: skip
async def test_a_failed_handshake_gets_the_common_error_body(path: str, query: str, status: int, code: str) -> None:
    start, body = await _connect(path, query)
    assert (start["type"], start["status"]) == ("websocket.http.response.start", status)
    error = orjson.loads(body["body"])
    assert error["code"] == code
    assert "hunter2" not in error["detail"]
    assert (b"x-request-id", error["request_id"].encode()) in start["headers"]


async def test_a_server_that_cannot_answer_a_handshake_closes_with_4000_and_the_status() -> None:
    accept, close = await _connect("/refused", extensions=())
    assert accept["type"] == "websocket.accept"
    assert (close["type"], close["code"]) == ("websocket.close", 4404)


async def test_an_unexpected_error_closes_an_open_socket_with_1011_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, "gateway"):
        accept, close = await _connect("/fault", "is_early=0")
    assert accept["type"] == "websocket.accept"
    assert (close["type"], close["code"]) == ("websocket.close", 1011)
    (line,) = [record for record in caplog.records if record.message == "request"]
    assert (vars(line)["method"], vars(line)["route"], vars(line)["status"]) == ("WEBSOCKET", "/fault", 101)
    assert [record.message for record in caplog.records if record.exc_info] == ["a request failed"]


class _Flood:
    """A WebSocket with a thousand messages ready to read; it counts how often other tasks run."""

    def __init__(self) -> None:
        self.left = 1000
        self.turns = 0

    async def receive(self) -> Message:
        self.left -= 1
        return {"type": "websocket.receive", "text": "{"} if self.left else {"type": "websocket.disconnect"}

    async def send_text(self, text: str) -> None:
        pass

    async def count_turns(self) -> None:
        while self.left:
            self.turns += 1
            await asyncio.sleep(0)


async def test_a_flood_of_messages_does_not_block_the_loop() -> None:
    flood = _Flood()
    session = SocketSession(
        cast("WebSocket", flood), cast("EventStreamSession", None), cast("SocketCommands", None), None,
        max_message_bytes=100, refusal=lambda error, request_id: control_event_of("error", {}),
    )  # fmt: skip
    counting = asyncio.create_task(flood.count_turns())
    await session._answer_commands()
    await counting
    assert flood.turns >= 900
