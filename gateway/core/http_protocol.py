"""uvicorn's HTTP protocol, which also lets a request see the connection below it."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.service.sse import WIRE_EXTENSION


class HttpProtocol(HttpToolsProtocol):
    """Puts the connection's transport into the `extensions` of each request's scope."""

    def on_message_begin(self) -> None:
        """Begin a request's scope."""
        super().on_message_begin()
        self.scope["extensions"] = {WIRE_EXTENSION: self.transport}  # type: ignore[dict-item] # an extension of ours
