"""The SDK's streams over real sockets: killed and restarted gateways, cut connections, nothing left open."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import aclosing, asynccontextmanager

import pytest

from baud import AsyncBaud, Baud, Event, StreamPolicy
from shared.contract.run import RunRecord
from tests.chaos.faulty_proxy import FaultyProxy
from tests.integration.conftest import StartGateway
from tests.integration.fake_worker import FakeWorker, open_worker
from tests.integration.gateway_process import LIMIT_SECONDS, GatewayProcess
from tests.integration.stream_reader import Read, StreamReader, read_async, read_sync, reading

both = pytest.mark.parametrize("read", [read_sync, read_async], ids=["sync", "async"])


async def write_and_await(worker: FakeWorker, run: RunRecord, reader: StreamReader, *texts: str) -> None:
    """Write, and wait until the reader has all of it."""
    before = len(reader.ids)
    await worker.write(run, *texts)
    await reader.until(lambda seen: len(seen.ids) >= before + len(texts))


@both
async def test_a_stream_outlives_killed_and_restarted_gateways(
    start_gateway: StartGateway, redis_url: str, read: Read
) -> None:
    gateway = await start_gateway(redis_url)
    thread_id = await gateway.new_thread()
    run_id = await gateway.execute(thread_id)
    async with open_worker(redis_url) as worker, FaultyProxy(gateway.port) as proxy:
        run = await worker.claim(thread_id, run_id)
        async with reading(read, f"http://127.0.0.1:{proxy.port}", thread_id, run_id) as reader:
            for end in (GatewayProcess.stop, _terminate):
                await write_and_await(worker, run, reader, "before", "the fall")
                await end(gateway)
                await worker.write(run, "nobody", "is there")
                gateway = await start_gateway(redis_url)
                proxy.set_target(gateway.port)
            await worker.finish(run)
            await reader.until_end()
        assert reader.ids == await worker.logged_ids(thread_id)
    assert reader.counts.duplicates == 0
    assert reader.counts.connections >= 3


async def _terminate(gateway: GatewayProcess) -> None:
    gateway.terminate()
    assert await gateway.wait() == 0


async def test_a_list_of_gateways_goes_on_while_one_is_left(start_gateway: StartGateway, redis_url: str) -> None:
    first, second = await start_gateway(redis_url), await start_gateway(redis_url)
    thread_id = await first.new_thread()
    run_id = await first.execute(thread_id)
    async with open_worker(redis_url) as worker:
        run = await worker.claim(thread_id, run_id)
        async with reading(read_async, [first.url, second.url], thread_id, run_id) as reader:
            await write_and_await(worker, run, reader, "one", "two")
            await _terminate(first)
            await write_and_await(worker, run, reader, "three", "four")
            await worker.finish(run)
            await reader.until_end()
        assert reader.ids == await worker.logged_ids(thread_id)
    assert [event.data["error_type"] for event in reader.events if event.event == "error"] == ["shutdown"]
    assert reader.counts.duplicates == 0


@both
async def test_a_connection_cut_at_any_byte_loses_nothing(
    start_gateway: StartGateway, redis_url: str, read: Read
) -> None:
    gateway = await start_gateway(redis_url)
    thread_id = await gateway.new_thread()
    run_id = await gateway.execute(thread_id)
    lengths = random.Random(11)
    async with open_worker(redis_url) as worker, FaultyProxy(gateway.port) as proxy:
        proxy.cut_after(lambda: lengths.randint(1, 3000))
        run = await worker.claim(thread_id, run_id)
        async with reading(read, f"http://127.0.0.1:{proxy.port}", thread_id, run_id) as reader:
            for number in range(10):
                await worker.write(run, *(f"caf\u00e9 \u2603 {number} {piece}" for piece in range(4)))
                await reader.until(lambda seen: len(seen.ids) > 0)
                proxy.cut()
            await worker.finish(run)
            await reader.until_end()
        assert reader.ids == await worker.logged_ids(thread_id)
    assert reader.counts.duplicates == 0
    assert reader.counts.connections > 10


class QuietServer:
    """Implements just enough HTTP to hold a stream: one event, then silence; a second connection ends the run.

    `is_left` is set when the client has closed the first connection.
    """

    def __init__(self) -> None:
        self.is_left = asyncio.Event()
        self.port = 0
        self._connections = 0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        is_first = self._connections == 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        kind = b"assistant_response" if is_first else b"flow_completion"
        frame = b'id: %d-0\nevent: task_agent_execute\ndata: {"execute_type": "%b"}\n\n'
        writer.write(frame % (self._connections, kind))
        await writer.drain()
        if is_first:
            await reader.read()
            self.is_left.set()
        writer.close()


async def _leave_async(url: str) -> None:
    async with AsyncBaud(url) as baud, aclosing(baud.run_stream("t", "r")) as events:
        async for _ in events:
            return


async def _cancel_async(url: str) -> None:
    async with AsyncBaud(url) as baud:
        came = asyncio.Event()

        async def read() -> None:
            async for _ in baud.run_stream("t", "r"):
                came.set()

        task = asyncio.create_task(read())
        await came.wait()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()


async def _leave_sync(url: str) -> None:
    def leave() -> None:
        with Baud(url) as baud:
            events = baud.run_stream("t", "r")
            next(events)
            events.close()

    await asyncio.to_thread(leave)


async def _close_sync(url: str) -> None:
    def close() -> None:
        with Baud(url) as baud:
            kept.append(baud.run_stream("t", "r"))
            next(kept[0])

    kept: list[Generator[Event, None, None]] = []  # alive, so that closing the client is what closes it
    await asyncio.to_thread(close)


@pytest.mark.parametrize("leave", [_leave_async, _cancel_async, _leave_sync, _close_sync])
async def test_leaving_a_stream_closes_its_connection(leave: Callable[[str], Awaitable[None]]) -> None:
    server = QuietServer()
    async with server.serving(), asyncio.timeout(LIMIT_SECONDS):
        await leave(f"http://127.0.0.1:{server.port}")
        await server.is_left.wait()


async def _ids_of(url: str, policy: StreamPolicy) -> list[str | None]:
    async with AsyncBaud(url, stream_policy=policy) as baud:
        return [event.id async for event in baud.run_stream("t", "r")]


async def test_a_silent_connection_is_closed_and_reopened() -> None:
    server = QuietServer()
    policy = StreamPolicy(first_pause_seconds=0.01, silence_seconds=0.2)
    async with server.serving(), asyncio.timeout(LIMIT_SECONDS):
        ids = await _ids_of(f"http://127.0.0.1:{server.port}", policy)
        await server.is_left.wait()
    assert ids == ["1-0", "2-0"]
