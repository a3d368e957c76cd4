"""One WebSocket: a stream in one direction, commands and their answers in both."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing, suppress
from typing import Final

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketDisconnected

from gateway.service.socket.commands import SocketCommands, read_command, request_id_of
from gateway.service.stream.stream_session import EventStreamSession
from gateway.service.stream.topic import StreamEnd
from gateway.service.stream.types import Item
from gateway.service.stream.write_timeout import WriteTimeout
from shared.errors import BaudError

# The first by a connection that breaks, the second by one that the other direction has closed.
_GONE: Final = (WebSocketDisconnect, WebSocketDisconnected)
_NORMAL_CLOSURE: Final = 1000
_CLOSE_CODES: Final = {
    StreamEnd.SHUTDOWN: 1012,  # service restart
    StreamEnd.UNAVAILABLE: 1013,  # try again later
    StreamEnd.FAILED: 1011,  # internal error
    StreamEnd.REVOKED: 4401,  # of the private range: unauthorized
    StreamEnd.DELETED: 4410,  # of the private range: gone
}


class SocketSession:
    """Serves an accepted WebSocket until the stream is over or the client has left."""

    def __init__(
        self,
        socket: WebSocket,
        events: EventStreamSession,
        commands: SocketCommands,
        write_timeout: WriteTimeout | None,
        *,
        max_message_bytes: int,
        refusal: Callable[[BaudError, str | None], Item],
    ) -> None:
        self._socket = socket
        self._events = events
        self._commands = commands
        self._write_timeout = write_timeout
        self._max_message_bytes = max_message_bytes
        self._refusal = refusal
        self._send_lock = asyncio.Lock()  # answers and events share the connection and its write timeout

    async def run(self) -> None:
        """Return when both directions have ended."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._send_events(), name="socket events")
                await self._answer_commands()
                self._events.leave()
        finally:
            if self._write_timeout is not None:
                self._write_timeout.close()

    async def _send_events(self) -> None:
        with suppress(*_GONE):
            async with aclosing(self._events.items()) as bursts:
                async for items in bursts:
                    for item in items:
                        await self._send(item)
            if self._events.end is not StreamEnd.LEFT:
                await self._close(_NORMAL_CLOSURE if self._events.end is None else _CLOSE_CODES[self._events.end])

    async def _answer_commands(self) -> None:
        with suppress(*_GONE):
            while (message := await self._socket.receive())["type"] != "websocket.disconnect":
                await self._send(await self._answer(message.get("text")))
                await asyncio.sleep(0)  # many messages that are answered without waiting would block the loop

    async def _answer(self, text: str | None) -> Item:
        try:
            command = read_command(text, max_bytes=self._max_message_bytes)
            return await self._commands.execute(command)
        except BaudError as error:
            return self._refusal(error, request_id_of(text))

    async def _send(self, item: Item) -> None:
        async with self._send_lock:
            if self._write_timeout is not None:
                self._write_timeout.begin()
            await self._socket.send_text(item.message)
            if self._write_timeout is not None:
                self._write_timeout.end()

    async def _close(self, code: int) -> None:
        async with self._send_lock:
            if self._write_timeout is not None:
                self._write_timeout.begin()
            await self._socket.close(code)
            if self._write_timeout is not None:
                self._write_timeout.end()
