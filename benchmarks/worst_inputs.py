"""The worst inputs that one client, model or message can send, by name.

TURNS are made by the scripted model; SENT come from a client or a producer.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from redis.asyncio import Redis

from benchmarks.sse_reader import post
from shared.contract.message import ChatMessage, Role
from shared.keys import ThreadKeys

Call = tuple[str, dict[str, Any]]
ToolCallRunner = Sequence[Call]

_CHAIN: Final = "import os\nfor _ in range(1800):\n os.mkdir('d'); os.chdir('d')\n"


@dataclass(frozen=True, slots=True)
class Target:
    """The stack that is disturbed, and the thread that the disturbance uses."""

    url: str
    redis_url: str
    thread_id: str


def _bash(script: str) -> Call:
    return "bash", {"cmd": f"python3 - <<'END'\n{script}\nEND"}


def _file(path: str, content: str) -> Call:
    return "files_creation", {"files": [{"file_path": path, "content": content}]}


def _edit(path: str, *edits: tuple[str, str]) -> Call:
    wanted = [{"old_string": old, "new_string": new, "replace_all": True} for old, new in edits]
    return "multi_edit", {"file_path": path, "edits": wanted}


def _todos(count: int) -> Call:
    item = {"status": "pending", "priority": "low"}
    return "todo_write", {"todos": [{"id": str(number), "content": "x", **item} for number in range(count)]}


TURNS: Final[Mapping[str, Callable[[], Sequence[ToolCallRunner]]]] = {
    "a glob that could backtrack": lambda: [
        [_file("a/" * 36 + "c", "x")],
        [("glob", {"pattern": "**/a/" * 10 + "b"})],
    ],
    "a path of 14,000 characters": lambda: [
        [("ls", {"path": "a/" * 7000})],
        [("glob", {"pattern": "*", "path": "a/" * 7000})],
        [("file_read", {"file_path": "a/" * 7000})],
        [("file_edit", {"path": "a/" * 7000, "old_str": "a", "new_str": "b"})],
    ],
    "eight ls of 1,800 nested folders": lambda: [[_bash(_CHAIN)], [("ls", {"path": "d"})] * 8],
    "a replace_all that makes 1 GB": lambda: [
        [_file("a.txt", "a" * 1000)],
        [_edit("a.txt", ("a", "a" * 1000), ("a", "a" * 1000))],
    ],
    "sixty edits of a file of 10 MB": lambda: [
        [_bash("open('big.txt', 'w').write('abcdefghi\\n' * 1_000_000)")],
        [_edit("big.txt", *((chr(97 + n % 9), chr(97 + (n + 1) % 9)) for n in range(60)))],
    ],
    "eight file_read of 50 MB of newlines": lambda: [
        [_bash("open('lines.txt', 'w').write('\\n' * 50_000_000)")],
        [("file_read", {"file_path": "lines.txt"})] * 8,
    ],
    "a todo list of 100,000 items": lambda: [[_todos(100_000)]],
    "arguments of 20 MB": lambda: [[_file("big.txt", "x" * 20_000_000)]],
    "a command that prints 1 GB": lambda: [[("bash", {"cmd": "head -c 1000000000 /dev/zero | tr '\\0' 'x'"})]],
}


async def _execute(target: Target, body: dict[str, Any]) -> dict[str, Any]:
    return await post(target.url, f"/api/agent/{target.thread_id}/execute", body)


async def _send(target: Target, data: bytes, *, pieces: int = 1) -> None:
    """Send bytes over a connection of its own until the server closes it."""
    parts = urlsplit(target.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(10):
            for _ in range(pieces):
                writer.write(data)
                await writer.drain()
            await reader.read(1)
    writer.close()


async def _bad_messages(target: Target) -> None:
    async with Redis.from_url(target.redis_url) as redis:
        for text in ("garbage", '{"body": 1}', "[" * 100_000, '{"body": "e30=", "headers": {}, "properties": {}}'):
            await redis.lpush("celery", *[text] * 25)


async def _nested_json(target: Target) -> None:
    nested = json.loads("[" * 240 + "1" + "]" * 240)
    async with httpx.AsyncClient(base_url=target.url, trust_env=False) as http:
        for _ in range(20):
            await http.post("/api/agent/initiate", json={"metadata": {"a": nested}})
            await http.get("/api/agent/threads")


async def _bodies(target: Target) -> None:
    bodies = (b'{"metadata": {"a": ' + b"9" * 1_000_000 + b"}}", b"[" * 1_000_000, b'{"a": ' * 160_000)
    keys = json.dumps({"metadata": {str(number): 0 for number in range(70_000)}}).encode()
    async with httpx.AsyncClient(base_url=target.url, trust_env=False, timeout=60) as http:
        for body in (*bodies, keys):
            for _ in range(3):
                await http.post("/api/agent/initiate", content=body, headers={"content-type": "application/json"})


async def _long_head(target: Target) -> None:
    head = b"GET /live HTTP/1.1\r\nHost: localhost\r\n"
    await _send(target, head)
    await _send(target, head + b"X-A: " + b"a-" * 500_000, pieces=20)


async def _steering(target: Target) -> None:
    await _execute(target, {"task": json.dumps({"deltas": 400, "interval_seconds": 0.02})})
    for _ in range(60):
        with suppress(RuntimeError):  # refused when too much waits
            await _execute(target, {"task": "x" * 500_000, "on_busy": "steer"})


async def _fill_conversation(target: Target) -> None:
    keys = ThreadKeys(target.thread_id)
    message = ChatMessage(role=Role.USER, content="word " * 10_000).model_dump_json(exclude_none=True)
    async with Redis.from_url(target.redis_url) as redis:
        for _ in range(100):
            await redis.rpush(keys.messages, *[message] * 10)
        await _compact(redis)


async def _long_conversation(target: Target) -> None:
    await _execute(target, {"task": json.dumps({"deltas": 1})})


async def _fill_log(target: Target) -> None:
    keys = ThreadKeys(target.thread_id)
    data = json.dumps({"execute_type": "tool_bash", "text": "x" * 150_000})
    async with Redis.from_url(target.redis_url) as redis:
        for _ in range(1000):
            await redis.xadd(keys.stream, {"event": "task_agent_execute", "data": data, "run_id": "r", "type": "x"})
        await _compact(redis)


async def _compact(redis: Redis) -> None:
    """Rewrite the append-only file now: Redis would soon do so by itself, and what is measured is not that."""
    await redis.bgrewriteaof()
    while True:
        await asyncio.sleep(0.2)
        state = await redis.info("persistence")
        if not (state["aof_rewrite_in_progress"] or state["aof_rewrite_scheduled"]):
            return


async def _large_replay(target: Target) -> None:
    request = f"GET /api/agent/{target.thread_id}/stream?last_id=0-0 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()

    async def read() -> None:
        parts = urlsplit(target.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(request)
        with suppress(TimeoutError):
            async with asyncio.timeout(8):
                while await reader.read(65_536):
                    pass
        writer.close()

    await asyncio.gather(*(read() for _ in range(10)))


async def _probes(target: Target) -> None:
    until = time.monotonic() + 5
    async with httpx.AsyncClient(base_url=target.url, trust_env=False, timeout=30) as http:
        while time.monotonic() < until:
            await asyncio.gather(*(http.get("/ready") for _ in range(20)))


SENT: Final[Mapping[str, Callable[[Target], Awaitable[None]]]] = {
    "a hundred messages that are none": _bad_messages,
    "JSON nested 240 deep": _nested_json,
    "bodies of 1 MB of digits, brackets, keys": _bodies,
    "a request head without an end": _long_head,
    "sixty steering texts of 500 KB": _steering,
    "a conversation of 50 MB": _long_conversation,
    "ten replays of 150 MB": _large_replay,
    "twenty clients that ask /ready": _probes,
}
# What is prepared before.
PREPARED: Final[Mapping[str, Callable[[Target], Awaitable[None]]]] = {
    "a conversation of 50 MB": _fill_conversation,
    "ten replays of 150 MB": _fill_log,
}
