"""uvicorn's WebSocket protocol, which also lets a session see the connection below it, and owes one pong at most.

A handshake that fails, before or in the app, is answered with the body that all errors have.
"""

import logging
from http import HTTPStatus
from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import SecurityError
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request

from gateway.core.raw_answers import raw_answer
from gateway.service.stream.sse import WIRE_EXTENSION

# Pieces of one message; their bytes are counted by the library, but pieces may be empty.
_MAX_PIECES: Final = 1024

logger = logging.getLogger(__name__)


class SocketProtocol(WebSocketsSansIOProtocol):
    """Puts the connection's transport into the `extensions` of the scope, as HttpProtocol does."""

    owed_pong = b""

    def data_received(self, data: bytes) -> None:
        """Take bytes; the first are the whole head of the handshake."""
        super().data_received(data)
        if self.handshake_initiated or self.transport.is_closing():
            return
        if isinstance(self.conn.handshake_exc, SecurityError):
            sentence = "A header of the handshake is longer than 8 KiB, or there are more than 128."
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large", sentence)
        else:
            self._refuse(HTTPStatus.BAD_REQUEST, "bad_request", "This is no handshake of a WebSocket.")

    def handle_connect(self, event: Request) -> None:
        """Begin a session, whose task gets its turn later."""
        answer = self.conn.accept(event)
        if answer.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            self.handshake_initiated = True
            self._refuse(HTTPStatus(answer.status_code), "bad_request", answer.body.decode().strip())
            return
        super().handle_connect(event)
        if not self.handshake_complete:
            self.scope["extensions"][WIRE_EXTENSION] = self.transport  # type: ignore[assignment] # an extension of ours

    def handle_cont(self, event: Frame) -> None:
        """Take a further piece of a message."""
        if len(self.frames) < _MAX_PIECES:
            super().handle_cont(event)
            return
        self.frames = []
        self.conn.fail(CloseCode.MESSAGE_TOO_BIG, "too many pieces")
        self.queue.put_nowait({"type": "websocket.disconnect", "code": CloseCode.MESSAGE_TOO_BIG})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.close()

    async def send(self, message: Any) -> None:
        """Send; a handshake that the app has answered with an error is complete, which uvicorn takes for a fault."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True

    def _refuse(self, status: HTTPStatus, code: str, sentence: str) -> None:
        logger.info("a handshake is refused", extra={"status": status.value, "code": code})
        self.handshake_complete = self.close_sent = True
        self.transport.write(raw_answer(status, code, sentence))
        self.transport.close()

    def handle_ping(self) -> None:
        """Answer a ping; while the client takes nothing, only the newest is owed an answer (RFC 6455, 5.5.3)."""
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.owed_pong = b"".join(self.conn.data_to_send()) or self.owed_pong

    def resume_writing(self) -> None:
        """Let senders go on, behind the pong that is owed."""
        super().resume_writing()
        if self.owed_pong and not self.transport.is_closing():
            self.transport.write(self.owed_pong)
        self.owed_pong = b""
