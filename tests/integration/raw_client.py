"""A client that writes arbitrary bytes to a gateway and reads what comes."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.integration.gateway_process import LIMIT_SECONDS, GatewayProcess


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """One answer; the names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        """The body that all errors have."""
        found: dict[str, Any] = json.loads(self.body)
        assert set(found) == {"detail", "code", "request_id"}, found
        return found


class RawClient:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """Write; a connection that the gateway has closed raises nothing."""
        self._writer.write(data)
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                await self._writer.drain()
        except ConnectionError:
            pass

    async def drip(self, head: bytes) -> None:
        """Send a head and then a byte now and then, until cancelled."""
        await self.send(head)
        while True:
            await self.send(b"a")
            await asyncio.sleep(0.05)

    async def answer(self) -> RawAnswer:
        """Read one answer that has a Content-Length."""
        async with asyncio.timeout(LIMIT_SECONDS):
            status, headers = await self.head()
            body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        return RawAnswer(status, headers, body)

    async def head(self) -> tuple[int, dict[str, str]]:
        """Read the head of an answer."""
        async with asyncio.timeout(LIMIT_SECONDS):
            first, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
        fields = (line.partition(": ") for line in lines)
        return int(first.split(" ")[1]), {name.lower(): value for name, _, value in fields}

    async def rest(self) -> bytes:
        """Read until the gateway closes."""
        async with asyncio.timeout(LIMIT_SECONDS):
            try:
                return await self._reader.read()
            except ConnectionError:
                return b""

    async def until(self, text: bytes) -> bytes:
        """Read up to a text."""
        async with asyncio.timeout(LIMIT_SECONDS):
            return await self._reader.readuntil(text)


@asynccontextmanager
async def raw_client(gateway: GatewayProcess) -> AsyncIterator[RawClient]:
    """Yield a connection to a gateway."""
    reader, writer = await asyncio.open_connection(*gateway.address, limit=2**20)
    try:
        yield RawClient(reader, writer)
    finally:
        writer.transport.abort()


def request(method: str, target: str, *headers: str, host: str = "localhost", body: bytes = b"") -> bytes:
    """Return the bytes of a request; texts are written as Latin-1."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
