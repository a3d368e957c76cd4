"""A gateway in a process of its own, and a reader of its event streams."""

import asyncio
import contextlib
import json
import os
import re
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.documented import require_documented

LIMIT_SECONDS = 10.0
_START_SECONDS = 40.0  # a start is mostly imports, and many tests start at once
_LISTENS = re.compile(r"listens on (http://\S+?)[\s\"]")


@dataclass(frozen=True)
class SseEvent:
    """One event as a client reads it; `id` is None for system events."""

    event: str
    data: Any
    id: str | None = None
    retry: str | None = None


class GatewayProcess:
    """`python -m gateway --port 0` with the given settings, such as STREAM__IDLE_TIMEOUT, and further options."""

    def __init__(self, redis_url: str, settings: Mapping[str, str], *options: str) -> None:
        self._options = options
        variables = {f"BAUD_{name}": value for name, value in settings.items()}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("BAUD_")}
        self._env = {**inherited, "REDIS_URL": redis_url, "BAUD_LOG__FORMAT": "json", **variables}
        self._process: asyncio.subprocess.Process | None = None
        self._log_task: asyncio.Task[None] | None = None
        self._log_grew = asyncio.Event()
        self.log: list[str] = []
        self.url = ""
        self._http: httpx.AsyncClient | None = None

    @property
    def http(self) -> httpx.AsyncClient:
        assert self._http is not None, "start the gateway first"
        return self._http

    @property
    def port(self) -> int:
        return self.address[1]

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "gateway", "--port", "0", *self._options,
            env=self._env, stderr=asyncio.subprocess.PIPE, cwd="/tmp",
        )  # fmt: skip
        async with asyncio.timeout(_START_SECONDS):
            self.url = await self._read_address()
        self._log_task = asyncio.create_task(self._collect_log())
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
        self._http = httpx.AsyncClient(
            base_url=self.url,
            timeout=LIMIT_SECONDS,
            limits=limits,
            trust_env=False,
            event_hooks={"response": [_check_documented]},
        )

    async def _read_address(self) -> str:
        async for line in self._lines():
            found = _LISTENS.search(line)
            if found:
                return found[1]
        raise AssertionError("the gateway stopped at its start:\n" + "\n".join(self.log))

    async def _lines(self) -> AsyncIterator[str]:
        assert self._process is not None
        assert self._process.stderr is not None
        while line := await self._process.stderr.readline():
            self.log.append(line.decode())
            self._log_grew.set()
            yield self.log[-1]

    async def _collect_log(self) -> None:
        async for _ in self._lines():
            pass

    async def more_log(self) -> None:
        """Wait for a line that was not there at the last call."""
        async with asyncio.timeout(LIMIT_SECONDS):
            await self._log_grew.wait()
        self._log_grew.clear()

    async def until_probed(self, path: str, **members: object) -> httpx.Response:
        """Return the first answer of a probe with these members; answers may be a second old."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while True:
                answer = await self.http.get(path)
                body = answer.json()
                if all(body.get(name) == value for name, value in members.items()):
                    return answer

    async def until_logged(self, message: str) -> None:
        """Wait until a line of the log contains this."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while not any(message in line for line in self.log):
                await self.more_log()

    async def logged_route(self, route: str) -> dict[str, Any]:
        """Return the log line of the one request to a route, once it is there."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while True:
                for line in self.log:
                    fields: dict[str, Any] = json.loads(line)
                    if fields.get("route") == route:
                        return fields
                await self.more_log()

    def terminate(self) -> None:
        assert self._process is not None
        self._process.terminate()

    async def wait(self, limit_seconds: float = LIMIT_SECONDS) -> int:
        """Wait for the end of the process and return its exit status."""
        assert self._process is not None
        async with asyncio.timeout(limit_seconds):
            return await self._process.wait()

    async def stop(self) -> None:
        if self._http is not None:
            await self._http.aclose()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        if self._log_task is not None:
            await self._log_task

    async def new_thread(self) -> str:
        """Make a thread and return its id."""
        response = await self.http.post("/api/agent/initiate")
        response.raise_for_status()
        thread_id: str = response.json()["thread_id"]
        return thread_id

    async def execute(self, thread_id: str, task: str = "a task", **body: object) -> str:
        """Post a task and return the id of its run."""
        response = await self.http.post(f"/api/agent/{thread_id}/execute", json={"task": task, **body})
        response.raise_for_status()
        run_id: str = response.json()["run_id"]
        return run_id

    @contextlib.asynccontextmanager
    async def stream(self, path: str, **parameters: str) -> AsyncIterator[AsyncIterator[SseEvent]]:
        """Yield the events of a stream; each wait for one is bounded."""
        async with self.http.stream("GET", path, params=parameters) as response:
            assert response.status_code == 200, await response.aread()
            async with contextlib.aclosing(_read_events(response)) as events:
                yield events


async def _check_documented(response: httpx.Response) -> None:
    content_type = response.headers.get("content-type", "")
    require_documented(response.request.method, response.request.url.path, response.status_code, content_type)


async def _read_events(response: httpx.Response) -> AsyncGenerator[SseEvent, None]:
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = f"{fields[name]}\n{value}" if name == "data" and "data" in fields else value
            continue
        if "event" in fields:
            yield SseEvent(fields["event"], json.loads(fields["data"]), fields.get("id"), fields.get("retry"))
        fields = {}
