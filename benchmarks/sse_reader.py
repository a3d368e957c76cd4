"""A minimal client: raw HTTP over asyncio, so that the server is measured and not the client."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from typing import Any
from urllib.parse import urlsplit


async def post(url: str, path: str, body: dict[str, Any], *, expected: int = 200) -> dict[str, Any]:
    """POST JSON on a connection of its own and return the JSON answer."""
    return await _ask(url, f"POST {path}", json.dumps(body).encode(), expected)


async def get(url: str, path: str) -> dict[str, Any]:
    """GET on a connection of its own and return the JSON answer."""
    return await _ask(url, f"GET {path}", b"", 200)


async def _ask(url: str, line: str, payload: bytes, expected: int) -> dict[str, Any]:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    head = f"{line} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(payload)}\r\nConnection: close\r\n\r\n".encode() + payload)
    raw = await reader.read()
    writer.close()
    status, _, answer = raw.partition(b"\r\n\r\n")
    if f" {expected} ".encode() not in status.split(b"\r\n", 1)[0]:
        raise RuntimeError(f"{line}: {raw[:300]!r}")
    decoded: dict[str, Any] = json.loads(answer)
    return decoded


async def read_stream(url: str, path: str) -> AsyncGenerator[tuple[float, bytes], None]:
    """Yield (time of arrival, bytes) of an event stream as they come; the first item is the response's head."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=2**22)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept: text/event-stream\r\n\r\n".encode())
        yield time.perf_counter(), await reader.readuntil(b"\r\n\r\n")
        while chunk := await reader.read(65536):
            yield time.perf_counter(), chunk
    finally:
        writer.close()
