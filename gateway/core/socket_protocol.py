"""uvicorn's WebSocket protocol, which also lets a session see the connection below it, and owes one pong at most."""

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from gateway.service.sse import WIRE_EXTENSION


class SocketProtocol(WebSocketsSansIOProtocol):
    """Puts the connection's transport into the `extensions` of the scope, as HttpProtocol does."""

    owed_pong = b""

    def handle_connect(self, event: Request) -> None:
        """Begin a session, whose task gets its turn later."""
        super().handle_connect(event)
        if not self.handshake_complete:
            self.scope["extensions"][WIRE_EXTENSION] = self.transport  # type: ignore[assignment] # an extension of ours

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
