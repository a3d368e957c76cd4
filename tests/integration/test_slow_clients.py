"""Clients that take little or nothing, over real sockets: they are bounded, cut in time, and cost the others nothing.

The gateway runs in the test's own loop, so that what it holds for a client can be counted, and its sockets are small,
so that the kernel does not hold everything for it.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from redis.asyncio import Redis

from gateway.core.main import create_app
from gateway.core.serve import server_config
from gateway.service.event_hub import EventHub
from shared.settings.load import load_settings

_LIMIT_SECONDS = 30.0
_SOCKET_BYTES = 16_384
_FLOW = "flow"


class _Gateway:
    """A served gateway; its legacy streams need no thread, so that anybody may write them."""

    def __init__(self, server: uvicorn.Server, hub: EventHub, port: int) -> None:
        self.hub = hub
        self._server = server
        self._port = port

    @property
    def open_connections(self) -> int:
        return len(self._server.server_state.connections)

    def most_held_bytes(self) -> int:
        """The most that waits for one client in the hub, and the most that waits below HTTP."""
        below = (connection.transport.get_write_buffer_size() for connection in self._server.server_state.connections)
        return max(self.hub.held_bytes(), default=0) + max(below, default=0)

    @asynccontextmanager
    async def stream(self, *, is_small: bool = False) -> AsyncIterator[asyncio.StreamReader]:
        """Yield what comes on a stream of the flow; a small one is left to the kernel as little as it will take."""
        connection = socket.socket()
        if is_small:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BYTES)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", self._port))
        reader, writer = await asyncio.open_connection(sock=connection, limit=_SOCKET_BYTES if is_small else 2**20)
        path = f"/agent/event-stream?flowUuid={_FLOW}&flowInputUuid=input"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        try:
            yield reader
        finally:
            writer.transport.abort()


@asynccontextmanager
async def _serve(redis_url: str, folder: Path, **settings: str) -> AsyncIterator[_Gateway]:
    environ = {"REDIS_URL": redis_url, **{f"BAUD_{name}": value for name, value in settings.items()}}
    loaded = load_settings(environ, folder)
    app = create_app(loaded)
    with socket.create_server(("127.0.0.1", 0), backlog=200) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BYTES)
        server = uvicorn.Server(server_config(app, loaded.gateway))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        async with asyncio.timeout(_LIMIT_SECONDS):
            await _until(lambda: server.started)
            yield _Gateway(server, app.state.services.hub, listener.getsockname()[1])
            app.state.services.hub.shut_down()
            server.should_exit = True
            await serving


async def _until(condition: Callable[[], bool]) -> None:
    """Wait for what nobody tells; the limit of the whole test is the bound."""
    while not condition():  # noqa: ASYNC110 # uvicorn has no event for it
        await asyncio.sleep(0.01)


async def _write(redis_url: str, count: int, size: int, after_each: Callable[[], None] = lambda: None) -> None:
    async with Redis.from_url(redis_url) as redis:
        for number in range(count):
            await redis.xadd(f"stream:{_FLOW}:input", {"event": "custom", "data": f"{number:06} " + "x" * size})
            await redis.publish(f"thread:{_FLOW}:bell", "")
            after_each()


async def _read_all(reader: asyncio.StreamReader, count: int, rest: bytes = b"") -> list[bytes]:
    """Return the data of so many entries, by their first six characters, in the order in which they came."""
    found: list[bytes] = []
    while len(found) < count:
        received = await reader.read(65_536)
        assert received, "the stream ended early"
        *whole, rest = (rest + received).split(b"\n\n")
        found += [part.partition(b"\ndata: ")[2][:6] for part in whole if b"\nevent: custom" in part]
    return found


async def test_a_stalled_client_holds_no_more_than_its_share_and_is_cut(redis_url: str, tmp_path: Path) -> None:
    limit_bytes, most_bytes = 65_536, 0

    def count() -> None:
        nonlocal most_bytes
        most_bytes = max(most_bytes, gateway.most_held_bytes())

    settings = {"STREAM__CLIENT_BUFFER_BYTES": str(limit_bytes), "STREAM__SEND_TIMEOUT": "1"}
    async with _serve(redis_url, tmp_path, **settings) as gateway, gateway.stream(is_small=True) as stalled:
        await stalled.readuntil(b"waiting")
        await _write(redis_url, 500, 3000, count)
        await _until(lambda: gateway.open_connections == 0)
    # What is joined and on its way below HTTP, an eighth at most, is in neither count.
    assert limit_bytes / 8 < most_bytes <= limit_bytes * 7 / 8


async def test_a_client_that_reads_byte_by_byte_costs_the_others_nothing(redis_url: str, tmp_path: Path) -> None:
    count, others = 150, 100
    wanted = [b"%06d" % number for number in range(count)]
    settings = {"STREAM__CLIENT_BUFFER_BYTES": "65536"}
    async with _serve(redis_url, tmp_path, **settings) as gateway, gateway.stream(is_small=True) as slow:
        await slow.readuntil(b"waiting")

        taken = bytearray()

        async def dawdle() -> None:
            while True:
                taken.extend(await slow.readexactly(1))
                await asyncio.sleep(0.1)

        async def follow() -> list[bytes]:
            async with gateway.stream() as reader:
                return await _read_all(reader, count)

        dawdling = asyncio.create_task(dawdle())
        following = [asyncio.create_task(follow()) for _ in range(others)]
        await _until(lambda: gateway.open_connections == others + 1)
        await _write(redis_url, count, 4000)
        assert all(got == wanted for got in await asyncio.gather(*following))
        assert len(taken) < 1000
        dawdling.cancel()
        await asyncio.wait([dawdling])
        assert await _read_all(slow, count, bytes(taken)) == wanted
