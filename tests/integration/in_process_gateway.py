"""A gateway in the test's own loop, with small sockets, so that what it holds for a client can be measured.

It asks nobody who they are until a test requires keys.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import uvicorn
from fastapi import FastAPI

from gateway.controller.dependencies import Services
from gateway.core.main import create_app
from gateway.core.serve import server_config
from gateway.service.auth.credential_watch import CredentialWatch
from shared.clock import SystemClock
from shared.settings.load import load_settings
from tests.fakes.fake_verifier import FakeVerifier

FLOW: Final = "flow"
_LIMIT_SECONDS: Final = 30.0
_SOCKET_BYTES: Final = 16_384
_UPGRADE: Final = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class ServedGateway:
    """A served gateway; its legacy streams need no thread, so that tests can write to them directly."""

    def __init__(self, server: uvicorn.Server, app: FastAPI, port: int) -> None:
        services: Services = app.state.services
        self.hub = services.hub
        self.threads = services.threads
        self._app = app
        self._server = server
        self._port = port

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._port}"

    def require_keys(self) -> FakeVerifier:
        """Answer from now on only who has a key that the verifier gave out."""
        verifier = FakeVerifier()
        watch = CredentialWatch(verifier, SystemClock())
        self._app.state.services = replace(self._app.state.services, verifier=verifier, watch=watch)
        return verifier

    async def end_revoked_streams(self) -> None:
        """End the streams of keys that were revoked, as a gateway does by itself within seconds."""
        watch: CredentialWatch = self._app.state.services.watch
        await watch.check()

    @property
    def open_connections(self) -> int:
        """How many clients are connected."""
        return len(self._server.server_state.connections)

    @property
    def has_pending_pong(self) -> bool:
        """Whether a pong waits until the client takes something."""
        return any(getattr(connection, "pending_pong", b"") for connection in self._server.server_state.connections)

    def most_held_bytes(self) -> int:
        """The most bytes held for one client in the hub, plus the most held by one transport."""
        below = (connection.transport.get_write_buffer_size() for connection in self._server.server_state.connections)
        return max(self.hub.held_bytes(), default=0) + max(below, default=0)

    @asynccontextmanager
    async def stream(self, *, is_small: bool = False, version: str = "1.1") -> AsyncIterator[asyncio.StreamReader]:
        """Yield the reader of a stream of the flow; `is_small` gives its socket the smallest receive buffer."""
        path = f"/agent/event-stream?flowUuid={FLOW}&flowInputUuid=input"
        async with self._connection(f"GET {path} HTTP/{version}\r\nHost: x\r\n\r\n", is_small=is_small) as (reader, _):
            yield reader

    @asynccontextmanager
    async def socket(self, thread_id: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """Yield both directions of a thread's WebSocket as raw bytes, with a small receive buffer."""
        head = f"GET /ws/agent/{thread_id} HTTP/1.1\r\nHost: x\r\n" + _UPGRADE
        async with self._connection(head, is_small=True) as connection:
            yield connection

    @asynccontextmanager
    async def _connection(
        self, head: str, *, is_small: bool
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        connection = socket.socket()
        if is_small:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BYTES)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", self._port))
        reader, writer = await asyncio.open_connection(sock=connection, limit=_SOCKET_BYTES if is_small else 2**20)
        writer.write(head.encode())
        try:
            yield reader, writer
        finally:
            writer.transport.abort()


@asynccontextmanager
async def serve_in_process(redis_url: str, folder: Path, **overrides: str) -> AsyncIterator[ServedGateway]:
    """Yield a gateway in this loop, with small sockets and these settings."""
    environ = {"REDIS_URL": redis_url, **{f"BAUD_{name}": value for name, value in overrides.items()}}
    settings = load_settings(environ, folder)
    app = create_app(settings)
    with socket.create_server(("127.0.0.1", 0), backlog=200) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BYTES)
        server = uvicorn.Server(server_config(app, settings.gateway))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        async with asyncio.timeout(_LIMIT_SECONDS):
            await until(lambda: server.started)
            yield ServedGateway(server, app, listener.getsockname()[1])
            app.state.services.hub.shut_down()
            server.should_exit = True
            await serving


async def until(condition: Callable[[], bool]) -> None:
    """Poll a condition; the time limit of serve_in_process is the bound."""
    while not condition():  # noqa: ASYNC110 # uvicorn has no event for it
        await asyncio.sleep(0.01)


async def read_slowly(reader: asyncio.StreamReader, taken: bytearray) -> None:
    """Read one byte, wait, and read the next, until cancelled."""
    while True:
        taken.extend(await reader.readexactly(1))
        await asyncio.sleep(0.1)
