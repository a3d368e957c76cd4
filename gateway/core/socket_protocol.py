"""uvicorn's WebSocket protocol, which also lets a session see the connection below it."""

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from gateway.service.sse import WIRE_EXTENSION


class SocketProtocol(WebSocketsSansIOProtocol):
    """Puts the connection's transport into the `extensions` of the scope, as HttpProtocol does."""

    def handle_connect(self, event: Request) -> None:
        """Begin a session, whose task gets its turn later."""
        super().handle_connect(event)
        if not self.handshake_complete:
            self.scope["extensions"][WIRE_EXTENSION] = self.transport  # type: ignore[assignment] # an extension of ours
