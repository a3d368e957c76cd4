"""Clients that read little or nothing, over real sockets: buffers are bounded, they time out, others are unaffected.

The gateway runs in the test's own loop, so that what it holds for a client can be measured, and its sockets are small,
so that the kernel does not buffer everything.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.integration.in_process_gateway import FLOW, read_slowly, serve_in_process, until

_PING = b"\x89\xfd\0\0\0\0" + b"p" * 125


async def _write(
    redis_url: str, count: int, size: int, after_each: Callable[[], None] = lambda: None, *, thread_id: str = ""
) -> None:
    """Append to a thread's stream, else to the flow's."""
    stream = f"thread:{thread_id}:stream" if thread_id else f"stream:{FLOW}:input"
    async with Redis.from_url(redis_url) as redis:
        for number in range(count):
            await redis.xadd(stream, {"event": "custom", "data": f"{number:06} " + "x" * size})
            await redis.publish(f"thread:{thread_id or FLOW}:bell", "")
            after_each()


async def _read_all(reader: asyncio.StreamReader, count: int, rest: bytes = b"") -> list[bytes]:
    """Return the data of so many entries, by their first six characters, in the order in which they came."""
    found: list[bytes] = []
    while len(found) < count:
        received = await reader.read(65_536)
        assert received, "the stream ended early"
        *complete, rest = (rest + received).split(b"\n\n")
        found += [part.partition(b"\ndata: ")[2][:6] for part in complete if b"\nevent: custom" in part]
    return found


async def test_a_stalled_client_holds_no_more_than_its_share_and_is_cut(redis_url: str, tmp_path: Path) -> None:
    limit_bytes, most_bytes = 65_536, 0

    def count() -> None:
        nonlocal most_bytes
        most_bytes = max(most_bytes, gateway.most_held_bytes())

    settings = {"STREAM__CLIENT_BUFFER_BYTES": str(limit_bytes), "STREAM__SEND_TIMEOUT": "1"}
    async with serve_in_process(redis_url, tmp_path, **settings) as gateway, gateway.stream(is_small=True) as stalled:
        await stalled.readuntil(b"waiting")
        await _write(redis_url, 500, 3000, count)
        await until(lambda: gateway.open_connections == 0)
    # The chunk that is being sent, an eighth at most, is in neither count.
    assert limit_bytes / 8 < most_bytes <= limit_bytes * 7 / 8


async def test_a_client_that_reads_byte_by_byte_does_not_slow_the_others(redis_url: str, tmp_path: Path) -> None:
    count, others = 150, 100
    wanted = [b"%06d" % number for number in range(count)]
    settings = {"STREAM__CLIENT_BUFFER_BYTES": "65536"}
    async with serve_in_process(redis_url, tmp_path, **settings) as gateway, gateway.stream(is_small=True) as slow:
        await slow.readuntil(b"waiting")

        taken = bytearray()

        async def follow() -> list[bytes]:
            async with gateway.stream() as reader:
                return await _read_all(reader, count)

        slow_read = asyncio.create_task(read_slowly(slow, taken))
        following = [asyncio.create_task(follow()) for _ in range(others)]
        await until(lambda: gateway.open_connections == others + 1)
        await _write(redis_url, count, 4000)
        assert all(got == wanted for got in await asyncio.gather(*following))
        assert len(taken) < 1000
        slow_read.cancel()
        await asyncio.wait([slow_read])
        assert await _read_all(slow, count, bytes(taken)) == wanted


async def test_a_socket_that_pings_but_reads_nothing_is_cut_and_holds_no_more_than_its_share(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.core.serve._PING_SECONDS", 0.1)
    limit_bytes, most_bytes = 65_536, 0
    settings = {"STREAM__CLIENT_BUFFER_BYTES": str(limit_bytes), "STREAM__SEND_TIMEOUT": "1"}
    async with serve_in_process(redis_url, tmp_path, **settings) as gateway:
        await gateway.threads.create("t")
        async with gateway.socket("t") as (reader, writer):
            await reader.readuntil(b"waiting")
            await _write(redis_url, 100, 3000, thread_id="t")

            def ping() -> bool:
                nonlocal most_bytes
                writer.write(_PING * 20)
                most_bytes = max(most_bytes, gateway.most_held_bytes())
                return gateway.open_connections == 0

            await until(ping)
    assert limit_bytes / 8 < most_bytes <= limit_bytes * 7 / 8


async def test_a_socket_whose_client_does_not_take_the_close_is_cut(redis_url: str, tmp_path: Path) -> None:
    settings = {"MAX_DURATION": "1.5", "KEEP_ALIVE_INTERVAL": "1", "SEND_TIMEOUT": "0.5"}
    async with serve_in_process(redis_url, tmp_path, **{f"STREAM__{k}": v for k, v in settings.items()}) as gateway:
        await gateway.threads.create("t")
        async with gateway.socket("t") as (reader, _):
            # The end comes before the next keep-alive is due, so that only the close waits for the client.
            await reader.readuntil(b"keep_alive")
            await _write(redis_url, 1, 400_000, thread_id="t")
            await until(lambda: gateway.open_connections == 0)


async def test_a_socket_that_reads_again_gets_the_pending_pong(redis_url: str, tmp_path: Path) -> None:
    async with serve_in_process(redis_url, tmp_path, STREAM__CLIENT_BUFFER_BYTES="65536") as gateway:
        await gateway.threads.create("t")
        async with gateway.socket("t") as (reader, writer):
            await reader.readuntil(b"waiting")
            await _write(redis_url, 100, 3000, thread_id="t")
            number = 0

            def ping() -> bool:
                nonlocal number
                if gateway.has_pending_pong:
                    return True
                number += 1
                writer.write(b"\x89\x84\0\0\0\0%04d" % number)
                return False

            await until(ping)
            received = b""
            while b"\x8a\x04%04d" % number not in received:
                received += await reader.read(65_536)
