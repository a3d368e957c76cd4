"""The stack under chaos: one Redis that keeps its log on disk, two gateways, three modems, and proxies between them."""

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import httpx
from redis.asyncio import Redis
from redis.exceptions import RedisError

from baud.stack.embedded_redis import find_binary
from shared.keys import MODEM_INDEX
from tests.chaos.faulty_proxy import FaultyProxy
from tests.chaos.kept_process import KeptProcess
from tests.e2e.service_process import service_environment
from tests.integration.redis_process import free_port

LEASE_SECONDS: Final = 3.0
_GATEWAYS: Final = 2
_MODEMS: Final = 3
_START_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.1
SETTINGS: Final = {
    "BAUD_LLM__MODEL": "python:tests.chaos.scripted_worker_model:make_model",
    "BAUD_MODEM__LEASE_SECONDS": str(LEASE_SECONDS),
    "BAUD_MODEM__RENEW_SECONDS": "1",
    # Crashes are caused by the faults here, not by the run.
    "BAUD_MODEM__MAX_CRASHES": "50",
    "BAUD_MODEM__DRAIN_TIMEOUT": "3",
    "BAUD_MODEM__CONCURRENCY": "50",
    # So that a client soon notices a gateway that hangs.
    "BAUD_STREAM__KEEP_ALIVE_INTERVAL": "1",
    # Commands that outlive their worker are the harder case.
    "BAUD_SANDBOX__ISOLATION": "process",
}


class Stack:
    """`async with` starts everything and stops everything."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opened = AsyncExitStack()
        self.redis_port = free_port()
        self.redis_url = f"redis://127.0.0.1:{self.redis_port}/0"
        self.redis = KeptProcess("redis", self._redis_command(), settings={}, folder=folder)
        self.gateways: list[KeptProcess] = []
        self.modems: list[KeptProcess] = []
        self.client_proxies: list[FaultyProxy] = []
        self.modem_proxies: list[FaultyProxy] = []

    @property
    def processes(self) -> list[KeptProcess]:
        """Everything that runs, in the order in which it is stopped."""
        return [*self.modems, *self.gateways, self.redis]

    @property
    def urls(self) -> list[str]:
        """Where clients reach the gateways."""
        return [f"http://127.0.0.1:{proxy.port}" for proxy in self.client_proxies]

    def workspace(self, thread_id: str) -> Path:
        """Return the folder that the tools of a thread work in."""
        return self._folder / "data" / "sandboxes" / thread_id / "workspace"

    def printed(self, file_name: str) -> list[str]:
        """Return the lines that the workers have written into a file of their folder."""
        file = self._folder / file_name
        return file.read_text().splitlines() if file.exists() else []

    async def __aenter__(self) -> Self:
        try:
            await self._start(self.redis)
            for number in range(_GATEWAYS):
                await self._add_gateway(number)
            for number in range(_MODEMS):
                await self._add_modem(number)
            async with asyncio.timeout(_START_SECONDS):
                await self._wait_until_it_answers()
        except BaseException:
            await self._opened.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._opened.aclose()

    async def stop_workers(self) -> None:
        """Stop modems and gateways for good, so that nothing is written any more."""
        await asyncio.gather(*(process.stop() for process in (*self.modems, *self.gateways)))

    async def _start(self, process: KeptProcess) -> None:
        self._opened.push_async_callback(process.stop)
        await process.start()

    async def _add_gateway(self, number: int) -> None:
        port = free_port()
        command = (sys.executable, "-P", "-m", "gateway", "--port", str(port))
        gateway = self._service(f"gateway-{number}", command, self.redis_port)
        await self._start(gateway)
        self.gateways.append(gateway)
        self.client_proxies.append(await self._opened.enter_async_context(FaultyProxy(port)))

    async def _add_modem(self, number: int) -> None:
        proxy = await self._opened.enter_async_context(FaultyProxy(self.redis_port))
        modem = self._service(f"modem-{number}", (sys.executable, "-P", "-m", "modem"), proxy.port)
        await self._start(modem)
        self.modems.append(modem)
        self.modem_proxies.append(proxy)

    def _service(self, name: str, command: tuple[str, ...], redis_port: int) -> KeptProcess:
        url = f"redis://127.0.0.1:{redis_port}/0"
        settings = service_environment({**SETTINGS, "REDIS_URL": url, "BAUD_DATA_DIR": str(self._folder / "data")})
        return KeptProcess(name, command, settings=settings, folder=self._folder)

    def _redis_command(self) -> tuple[str, ...]:
        # Only `always` writes before it answers: with `everysec` a client can have seen an event that is then lost.
        keep = ("--save", "", "--appendonly", "yes", "--appendfsync", "always", "--dir", str(self._folder))
        return (find_binary(), "--port", str(self.redis_port), "--bind", "127.0.0.1", *keep)

    async def _wait_until_it_answers(self) -> None:
        async with httpx.AsyncClient(trust_env=False) as http, Redis.from_url(self.redis_url) as redis:
            while not await self._answers(http, redis):  # noqa: ASYNC110 - no event comes from another process
                await asyncio.sleep(_POLL_SECONDS)

    async def _answers(self, http: httpx.AsyncClient, redis: "Redis") -> bool:
        try:
            states = [(await http.get(f"{url}/health")).json().get("status") for url in self.urls]
            return states == ["healthy"] * _GATEWAYS and int(await redis.zcard(MODEM_INDEX)) >= _MODEMS
        except (httpx.HTTPError, ValueError, RedisError):
            return False
