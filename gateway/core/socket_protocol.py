"""uvicorn's WebSocket protocol, which also gives a session access to its transport and queues one pong at most.

A handshake that fails, before or in the app, is answered with the common error body.
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

# Fragments of one message; the library limits their bytes, but fragments may be empty.
_MAX_PIECES: Final = 1024

logger = logging.getLogger(__name__)


class SocketProtocol(WebSocketsSansIOProtocol):
    """Puts the connection's transport into the `extensions` of the scope, as HttpProtocol does."""

    pending_pong = b""

    def data_received(self, data: bytes) -> None:
        """Take bytes; the first are the complete head of the handshake."""
        super().data_received(data)
        if self.handshake_initiated or self.transport.is_closing():
            return
        if isinstance(self.conn.handshake_exc, SecurityError):
            sentence = "A header of the handshake is longer than 8 KiB, or there are more than 128."
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large", sentence)
        else:
            self._refuse(HTTPStatus.BAD_REQUEST, "bad_request", "This is no handshake of a WebSocket.")

    def handle_connect(self, event: Request) -> None:
        """Begin a session, whose task starts later."""
        answer = self.conn.accept(event)
        if answer.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            self.handshake_initiated = True
            self._refuse(HTTPStatus(answer.status_code), "bad_request", answer.body.decode().strip())
            return
        super().handle_connect(event)
        if not self.handshake_complete:
            self.scope["extensions"][WIRE_EXTENSION] = self.transport  # type: ignore[assignment] # an extension of ours

    def handle_cont(self, event: Frame) -> None:
        """Take a further fragment of a message."""
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
        """Send; uvicorn would report a handshake that the app has answered with an error as incomplete."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True

    def _refuse(self, status: HTTPStatus, code: str, sentence: str) -> None:
        logger.info("refusing a handshake", extra={"status": status.value, "code": code})
        self.handshake_complete = self.close_sent = True
        self.transport.write(raw_answer(status, code, sentence))
        self.transport.close()

    def handle_ping(self) -> None:
        """Answer a ping; while the client takes nothing, only the newest ping is answered (RFC 6455, 5.5.3)."""
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.pending_pong = b"".join(self.conn.data_to_send()) or self.pending_pong

    def resume_writing(self) -> None:
        """Let senders continue, after the pending pong."""
        super().resume_writing()
        if self.pending_pong and not self.transport.is_closing():
            self.transport.write(self.pending_pong)
        self.pending_pong = b""
