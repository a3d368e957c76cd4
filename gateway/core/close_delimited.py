"""Responses to HTTP/1.0, which has no chunked encoding: one without a length ends with the connection."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class CloseDelimited:
    """Makes uvicorn write such a response as it comes."""

    def __init__(self, app: ASGIApp, cycle: RequestResponseCycle) -> None:
        self._app = app
        self._cycle = cycle
        self._is_delimited = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name.lower() for name, _ in message.get("headers", ())}
                self._is_delimited = b"content-length" not in names
                if self._is_delimited:
                    self._cycle.chunked_encoding = False
            elif self._is_delimited and message["type"] == "http.response.body":
                # uvicorn checks the body against a declared length.
                self._cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        await self._app(scope, receive, sent)
