"""The gateway as a process: how it refuses to start, how it stops, and clients that stall or leave."""

import asyncio
import contextlib
import json
import os
import resource
import socket
import subprocess
import sys
from urllib.parse import urlsplit

import psutil

from tests.integration.conftest import StartGateway
from tests.integration.fake_worker import open_worker
from tests.integration.gateway_process import GatewayProcess

_LIMIT_SECONDS = 10.0


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-P", "-m", "gateway", *arguments]
    env = {name: value for name, value in os.environ.items() if not name.startswith("BAUD_")}
    return subprocess.run(
        argv, capture_output=True, text=True, timeout=_LIMIT_SECONDS, cwd="/tmp", env=env, check=False
    )


def test_an_address_that_others_can_reach_is_refused_with_status_2() -> None:
    done = _run("--host", "0.0.0.0", "--port", "0")
    assert done.returncode == 2
    assert "auth.mode" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_option_that_was_replaced_says_what_to_set_instead() -> None:
    done = _run("--host", "0.0.0.0", "--port", "0", "--insecure")
    assert done.returncode == 2
    assert "BAUD_AUTH__ANONYMOUS_NETWORK" in done.stderr


def test_a_port_that_is_taken_is_named_and_ends_with_status_2() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = _run("--port", str(port))
    assert done.returncode == 2
    assert f"127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr


async def test_the_gateway_starts_without_redis_as_unhealthy(start_gateway: StartGateway) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    gateway = await start_gateway(f"redis://127.0.0.1:{port}/0")
    response = await gateway.http.get("/health")
    assert (response.status_code, response.json()["status"]) == (503, "unhealthy")


async def test_a_client_that_leaves_is_logged_as_499(start_gateway: StartGateway, redis_url: str) -> None:
    gateway = await start_gateway(redis_url)
    thread_id = await gateway.new_thread()
    async with gateway.stream(f"/api/agent/{thread_id}/stream") as events:
        await anext(events)
    assert (await _logged_stream(gateway))["status"] == 499


async def test_a_client_that_reads_nothing_is_cut_after_the_send_timeout(
    start_gateway: StartGateway, redis_url: str
) -> None:
    gateway = await start_gateway(redis_url, STREAM__SEND_TIMEOUT="0.5")
    thread_id = await gateway.new_thread()
    run_id = await gateway.execute(thread_id)
    async with open_worker(redis_url) as worker:
        await worker.do(thread_id, run_id, *("x" * 100_000 for _ in range(200)))
    address = urlsplit(gateway.url)
    _, writer = await asyncio.open_connection(address.hostname, address.port, limit=1024)
    writer.write(f"GET /api/agent/{thread_id}/stream HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert (await _logged_stream(gateway))["status"] == 499
    writer.transport.abort()


async def test_idle_streams_use_almost_no_cpu(start_gateway: StartGateway, redis_url: str) -> None:
    gateway = await start_gateway(redis_url, STREAM__KEEP_ALIVE_INTERVAL="4")
    thread_ids = [await gateway.new_thread() for _ in range(200)]
    async with contextlib.AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(gateway.stream(f"/api/agent/{thread_id}/stream"))
            for thread_id in thread_ids
        ]
        for events in streams:
            assert (await anext(events)).event == "waiting"
        before = _cpu_seconds(gateway.pid)
        assert (await anext(streams[-1])).event == "keep_alive"  # four seconds in which nothing happens
        assert _cpu_seconds(gateway.pid) - before < 0.8  # one busy loop would take all four


async def _logged_stream(gateway: GatewayProcess) -> dict[str, object]:
    """Return the log line of the one stream, once it is written."""
    async with asyncio.timeout(_LIMIT_SECONDS):
        while True:
            for line in gateway.log:
                fields: dict[str, object] = json.loads(line)
                if str(fields.get("route", "")).endswith("/stream"):
                    return fields
            await gateway.more_log()


def _cpu_seconds(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


async def test_a_gateway_takes_as_many_open_files_as_it_may(start_gateway: StartGateway, redis_url: str) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    try:
        gateway = await start_gateway(redis_url)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert psutil.Process(gateway.pid).rlimit(psutil.RLIMIT_NOFILE) == (hard, hard)
