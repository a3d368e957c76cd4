"""Services of two versions on one Redis: started, joined to what clients use, drained and killed one by one."""

import asyncio
import shutil
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import httpx

from tests.chaos import scripted_worker_model
from tests.chaos.kept_process import KeptProcess
from tests.chaos.scripted_worker_model import GATES_FOLDER
from tests.chaos.waiting import until_it_takes_jobs
from tests.integration.redis_process import RedisProcess, free_port
from tests.upgrade.version import MODEL_MODULE, Version

_START_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Service:
    """One process of one version; `url` is a gateway's."""

    version: Version
    process: KeptProcess
    pid: int
    url: str = ""


class MixedStack:
    """`async with` starts Redis; the services come and go as the test says. `urls` are the gateways in use."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._settings = settings or {}
        self._opened = AsyncExitStack()
        self._redis = RedisProcess(folder=folder)
        self.services: list[Service] = []  # all that ever ran
        self.urls: list[str] = []

    @property
    def folder(self) -> Path:
        """Where every process runs."""
        return self._folder

    @property
    def redis_url(self) -> str:
        """The Redis of all."""
        return self._redis.url

    def environment(self, version: Version) -> Mapping[str, str]:
        """Return the environment of a program of this version."""
        return version.environment(self._folder, self.redis_url, self._settings)

    def workspace(self, thread_id: str) -> Path:
        """Return the folder that the tools of a thread work in."""
        return self._folder / "data" / "sandboxes" / thread_id / "workspace"

    def printed(self, file_name: str) -> list[str]:
        """Return the lines that the workers have written into a file of their folder."""
        file = self._folder / file_name
        return file.read_text().splitlines() if file.exists() else []

    def open_gate(self, name: str) -> None:
        """Let a run that is held go on."""
        (self._folder / GATES_FOLDER / name).touch()

    async def __aenter__(self) -> Self:
        (self._folder / GATES_FOLDER).mkdir()
        (self._folder / "model").mkdir()
        shutil.copy(scripted_worker_model.__file__, self._folder / "model" / f"{MODEL_MODULE}.py")
        self._redis.start()
        self._opened.callback(self._redis.stop)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._opened.aclose()

    async def add_modems(self, version: Version, count: int) -> list[Service]:
        """Start so many workers; return once they take jobs."""
        added = [await self._start(version, "modem") for _ in range(count)]
        for modem in added:
            await until_it_takes_jobs(self.redis_url, modem.pid)
        return added

    async def add_gateways(self, version: Version, count: int) -> list[Service]:
        """Start so many gateways and have the clients use them too."""
        added = [await self._start(version, "gateway", free_port()) for _ in range(count)]
        async with asyncio.timeout(_START_SECONDS), httpx.AsyncClient(trust_env=False) as http:
            for gateway in added:
                await _until_it_answers(http, gateway)
        self.urls += [gateway.url for gateway in added]
        return added

    async def stop_all(self) -> None:
        """Stop whatever runs, so that nothing is written any more."""
        await asyncio.gather(*(service.process.stop() for service in self.services))

    async def _start(self, version: Version, module: str, port: int = 0) -> Service:
        arguments = ("--port", str(port)) if port else ()
        process = KeptProcess(
            f"{version.label}-{module}-{len(self.services)}",
            version.command("-m", module, *arguments),
            settings=self.environment(version),
            folder=self._folder,
        )
        self._opened.push_async_callback(process.stop)
        await process.start()
        service = Service(version, process, process.pid, f"http://127.0.0.1:{port}" if port else "")
        self.services.append(service)
        return service


async def _until_it_answers(http: httpx.AsyncClient, gateway: Service) -> None:
    while True:
        try:
            (await http.get(f"{gateway.url}/live")).raise_for_status()
        except httpx.HTTPError:
            await asyncio.sleep(_POLL_SECONDS)
        else:
            return
