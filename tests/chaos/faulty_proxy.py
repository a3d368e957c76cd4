"""A TCP proxy with faults: it cuts connections at any byte, drops responses, and refuses connections for a while."""

import asyncio
import contextlib
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

_CHUNK_BYTES: Final = 65_536


class FaultyProxy:
    """Forwards connections to one local port; `port` is its own. A context manager."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._refuses = False
        self._drops_responses = False
        self._drops_next_response = False
        self._request_to_drop = b""
        self._draw_length: Callable[[], int] | None = None
        self.port = 0
        self.target_refused = asyncio.Event()  # set when a connection came and its target was not there

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._forward, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    def cut(self) -> int:
        """Reset every connection; return how many there were."""
        count = len(self._open) // 2
        for writer in self._open:
            writer.transport.abort()
        return count

    async def drop_responses_for(self, seconds: float) -> None:
        """Forward requests but drop answers for a moment, then reset every connection."""
        self._drops_responses = True
        try:
            await asyncio.sleep(seconds)
        finally:
            self.cut()
            self._drops_responses = False

    def drop_response_to(self, request: bytes) -> None:
        """Forward the next request that holds these bytes, and reset every connection instead of answering it."""
        self._request_to_drop = request

    @property
    def has_dropped_response(self) -> bool:
        """Whether that request came and its answer is lost."""
        return not self._request_to_drop and not self._drops_next_response

    def refuse_connections(self) -> None:
        """Reset every connection and every new one."""
        self._refuses = True
        self.cut()

    def accept_connections(self) -> None:
        """Accept connections again."""
        self._refuses = False

    def set_target(self, target_port: int) -> None:
        """Forward new connections to another port."""
        self._target_port = target_port

    def cut_after(self, draw_length: Callable[[], int] | None) -> None:
        """End each new connection after so many bytes of its answers; None: do so no more."""
        self._draw_length = draw_length

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            writer.transport.abort()
            return
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            self.target_refused.set()
            writer.transport.abort()
            return
        ends = {writer, back}
        self._open |= ends
        try:
            await asyncio.gather(self._pump(reader, back), self._pump(there, writer, is_response=True))
        finally:
            self._open -= ends
            for end in ends:
                end.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_response: bool = False
    ) -> None:
        """Forward bytes until one side ends; then end the other as well."""
        left = self._draw_length() if is_response and self._draw_length else None
        with contextlib.suppress(OSError):
            while chunk := await reader.read(_CHUNK_BYTES):
                if is_response and self._drops_next_response:
                    self._drops_next_response = False
                    self.cut()
                    return
                if is_response and self._drops_responses:
                    continue
                if not is_response and self._request_to_drop and self._request_to_drop in chunk:
                    self._request_to_drop, self._drops_next_response = b"", True
                writer.write(chunk[:left])
                await writer.drain()
                left = None if left is None else left - len(chunk)
                if left is not None and left <= 0:
                    break  # what has been written still arrives, and then the end, in the middle of a frame
        if not writer.is_closing():
            writer.close()
