"""Streams through a real nginx that buffers and compresses what it may, configured as the documentation says."""

import asyncio
from pathlib import Path

import httpx

from tests.chaos.faulty_proxy import FaultyProxy
from tests.integration.conftest import StartGateway
from tests.integration.fake_worker import open_worker
from tests.integration.nginx_process import LIMIT_SECONDS, NginxProcess
from tests.integration.stream_reader import read_async, reading


async def test_each_event_arrives_while_the_run_is_still_active(
    start_gateway: StartGateway, redis_url: str, tmp_path: Path
) -> None:
    gateway = await start_gateway(redis_url)
    thread_id = await gateway.new_thread()
    run_id = await gateway.execute(thread_id)
    path = f"/api/agent/{thread_id}/runs/{run_id}/stream"
    async with (
        open_worker(redis_url) as worker,
        NginxProcess(tmp_path / "nginx", gateway.port) as nginx,
        httpx.AsyncClient(timeout=LIMIT_SECONDS, trust_env=False) as http,
        http.stream("GET", nginx.url + path, headers={"Accept-Encoding": "gzip"}) as response,
    ):
        assert response.headers["content-encoding"] == "gzip"
        lines = response.aiter_lines()
        run = await worker.claim(thread_id, run_id)
        for text in ("one", "two", "three"):
            await worker.write(run, text)  # the next is written when this one has come
            assert f'"{text}"' in await anext(line async for line in lines if "assistant_response_result" in line)
        await worker.finish(run)
        assert "flow_completion" in "".join([line async for line in lines])


async def test_a_quiet_stream_outlives_several_read_timeouts(
    start_gateway: StartGateway, redis_url: str, tmp_path: Path
) -> None:
    gateway = await start_gateway(redis_url, STREAM__KEEP_ALIVE_INTERVAL="1")
    thread_id = await gateway.new_thread()
    run_id = await gateway.execute(thread_id)
    async with (
        open_worker(redis_url) as worker,
        NginxProcess(tmp_path / "nginx", gateway.port, read_timeout="3s") as nginx,
        reading(read_async, nginx.url, thread_id, run_id) as reader,
    ):
        await reader.until(lambda seen: sum(event.event == "keep_alive" for event in seen.events) >= 7)
        await worker.do(thread_id, run_id, "after all")
        await reader.until_end()
        assert reader.ids == await worker.logged_ids(thread_id)
    assert reader.counts.connections == 1


async def test_a_stream_continues_over_reloads_restarts_and_a_gateway_that_is_down(
    start_gateway: StartGateway, redis_url: str, tmp_path: Path
) -> None:
    gateway = await start_gateway(redis_url)
    thread_id = await gateway.new_thread()
    run_id = await gateway.execute(thread_id)
    async with (
        open_worker(redis_url) as worker,
        FaultyProxy(gateway.port) as proxy,  # so that the gateway may come back on another port
        NginxProcess(tmp_path / "nginx", proxy.port) as nginx,
        reading(read_async, nginx.url, thread_id, run_id) as reader,
    ):
        run = await worker.claim(thread_id, run_id)
        await worker.write(run, "one", "two")
        await reader.until(lambda seen: len(seen.ids) == 2)
        nginx.reload()
        await worker.write(run, "three")
        await reader.until(lambda seen: seen.counts.connections == 2)
        await nginx.stop()
        await worker.write(run, "four")
        await nginx.start()
        await reader.until(lambda seen: len(seen.ids) == 4)
        await gateway.stop()
        await worker.write(run, "five")
        async with asyncio.timeout(LIMIT_SECONDS):
            await proxy.target_refused.wait()
        gateway = await start_gateway(redis_url)
        proxy.set_target(gateway.port)
        await worker.finish(run)
        await reader.until_end()
        assert reader.ids == await worker.logged_ids(thread_id)
    assert 502 in nginx.statuses()
    assert reader.counts.duplicates == 0


async def test_a_websocket_is_upgraded(tmp_path: Path) -> None:
    asked: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode().lower())
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        writer.write(await reader.readexactly(4))
        await writer.drain()
        writer.close()

    async with asyncio.timeout(LIMIT_SECONDS):
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server, NginxProcess(tmp_path / "nginx", server.sockets[0].getsockname()[1]) as nginx:
            reader, writer = await asyncio.open_connection("127.0.0.1", nginx.port)
            writer.write(b"GET /ws/agent/t HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(b"ping")
            assert await reader.readexactly(4) == b"ping"
            writer.close()
    assert b" 101 " in head
    assert "upgrade: websocket\r\n" in asked[0]
    assert "connection: upgrade\r\n" in asked[0]
