"""All of Baud on this machine: Redis, gateway and modems as supervised child processes."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any

import httpx

from baud.sdk.errors import StackError
from baud.sdk.health import fetch_health
from baud.stack import embedded_redis
from baud.stack.data_dir import DataDir
from baud.stack.disk_reserve import DiskReserve
from baud.stack.embedded_redis import EmbeddedRedis
from baud.stack.network import base_url, claim_port
from baud.stack.stack_plan import StackPlan, without_password
from baud.stack.supervise import Service, ServiceSpec
from baud.stack_options import StackOptions

_POLL_SECONDS = 0.025  # how often readiness is asked for
_REDIS_ANSWER_SECONDS = 1.0
_KEEPER_PAUSE_SECONDS = 1.0
_WITHOUT_REDIS_SECONDS = 3.0  # runs can be neither handed over nor stored: only processes are left to end


class LocalStack:
    """An async context manager: entered when everything answers, left when all its processes have ended.

    `report` takes lines for the user; `output` is the descriptor that takes what the services print.
    Raises StackError when it cannot be started.
    """

    def __init__(
        self, options: StackOptions, *, env: Mapping[str, str], report: Callable[[str], None], output: int = 2
    ) -> None:
        self._options = options
        self._env = env
        self._report = report
        self._output = output
        self._data_dir = DataDir(options.data_dir)
        self._services: list[Service] = []
        self._keepers: list[asyncio.Task[None]] = []
        self._missing = "redis"
        self._redis: EmbeddedRedis | None = None
        self._reserve: DiskReserve | None = None
        self.url = ""
        self.redis_url = ""

    async def __aenter__(self) -> "LocalStack":
        self._data_dir.acquire()
        try:
            async with asyncio.timeout(self._options.start_seconds):
                await self._start()
        except TimeoutError:
            await self._stop()
            raise StackError(
                f"the stack was not ready within {self._options.start_seconds:g} s: {self._missing}"
            ) from None
        except BaseException:
            await self._stop()
            raise
        works = [service.keep_alive for service in self._services]
        works += [self._reserve.keep_filled] if self._reserve else []
        self._keepers = [asyncio.create_task(self._keep_going(work)) for work in works]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    def hurry(self) -> None:
        """Kill every process at once, which also ends the wait for their orderly end."""
        for service in self._services:
            service.signal_kill()

    async def _start(self) -> None:
        options = self._options
        plan = StackPlan(options, self._env, self._data_dir.path, claim_port(options.host, options.port))
        self.url = base_url(options.host, plan.port)
        redis_url = await self._start_redis(plan)
        await self._launch(plan.gateway(redis_url))
        for spec in plan.modems(redis_url):
            await self._launch(spec)
        async with httpx.AsyncClient(base_url=self.url, verify=False, trust_env=False) as http:  # noqa: S501 - loopback
            await self._until(lambda: self._is_healthy(http))

    async def _start_redis(self, plan: StackPlan) -> str:
        given = self._options.redis_url
        if given:
            self.redis_url = without_password(given)
            return given
        redis = self._redis = embedded_redis.prepare(self._data_dir.path)
        reserve = self._reserve = DiskReserve(redis.folder, self._report)
        self._missing = f"the disk of {redis.folder} is full"
        await reserve.wait_for_room()
        self._missing = "redis does not answer"
        spec = plan.redis(redis, lock_fd=self._data_dir.lock_fd)
        await self._launch(replace(spec, before_restart=reserve.wait_for_room))
        await self._until(redis.answers)
        self.redis_url = redis.public_url
        return redis.url

    async def _launch(self, spec: ServiceSpec) -> None:
        service = Service(spec, output=self._output, report=self._report)
        self._services.append(service)
        await service.start()

    async def _is_healthy(self, http: httpx.AsyncClient) -> bool:
        health = await fetch_health(http)
        if health is None:
            self._missing = "the gateway does not answer"
            return False
        self._missing = f"/health says {health.status}, {health.parts()}"
        return health.status == "healthy" or (not self._options.workers and health.status == "degraded")

    async def _until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        while not await condition():
            for service in self._services:
                if (ending := service.ending()) is not None:
                    where = service.spec.log or "its output"
                    raise StackError(f"{service.spec.name} {ending} before the stack was ready; see {where}")
            await asyncio.sleep(_POLL_SECONDS)

    async def _keep_going(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run endless work until cancelled: an error in it must not leave a process unsupervised."""
        while True:
            results = await asyncio.gather(work(), return_exceptions=True)
            self._report(f"the launcher continues after an internal error: {results[0]!r}")
            await asyncio.sleep(_KEEPER_PAUSE_SECONDS)

    async def _stop(self) -> None:
        """Stop in the order modems, gateway, Redis."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        limit = None if await self._redis_answers() else _WITHOUT_REDIS_SECONDS
        modems = [service for service in self._services if service.spec.name.startswith("modem")]
        await asyncio.gather(*(modem.stop(at_most_seconds=limit) for modem in modems))
        for service in reversed([service for service in self._services if service not in modems]):
            await service.stop(at_most_seconds=limit)
        if self._reserve:
            self._reserve.release()
        self._data_dir.release()

    async def _redis_answers(self) -> bool:
        """Whether Redis answers, so that runs can be handed over; not checked for one that is not ours."""
        if self._redis is None:
            return True
        # Not asyncio.timeout: before Python 3.11.4 it raises CancelledError in a task that is being cancelled.
        asking = asyncio.create_task(self._redis.answers())
        await asyncio.wait([asking], timeout=_REDIS_ANSWER_SECONDS)
        if asking.done():
            return asking.result()
        asking.cancel()
        await asyncio.wait([asking])
        return False
