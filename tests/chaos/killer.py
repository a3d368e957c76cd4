"""The seeded killer: injects faults in shuffled order, and records each with its time and its process."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from shared.broker.queue import make_celery
from shared.config import ModemConfig, RedisConfig
from shared.keys import EXECUTE_RUN_TASK
from tests.chaos.fault import DECK, Fault, FaultKind
from tests.chaos.faulty_proxy import FaultyProxy
from tests.chaos.kept_process import KeptProcess
from tests.chaos.run_client import Followed
from tests.chaos.stack import LEASE_SECONDS, Stack

_MEAN_PAUSE_SECONDS: Final = 1.0
_LONGER_THAN_A_LEASE: Final = (LEASE_SECONDS + 0.5, LEASE_SECONDS + 2.5)
# A process that was just started has nothing to lose yet.
_WARM_SECONDS: Final = 2.0
# Longer than a write takes, so that some are done and never answered.
_LOST_ANSWERS_SECONDS: Final = 0.2
_REDELIVERED_AT_ONCE: Final = 3


class Killer:
    """Owns its faults: those that last are over when `run` has been cancelled and awaited."""

    def __init__(self, stack: Stack, runs: Sequence[Followed], chance: random.Random) -> None:
        self.faults: list[Fault] = []
        self._stack = stack
        self._runs = runs
        self._chance = chance
        self._celery: Celery = make_celery(
            ModemConfig(), RedisConfig.model_validate({"url": stack.redis_url}), socket_timeout=2.0
        )
        self._running: set[asyncio.Task[None]] = set()
        self._disturbed: set[str] = set()
        self._do: dict[FaultKind, Callable[[], Awaitable[None]]] = {
            FaultKind.KILL_MODEM: self._kill_modem,
            FaultKind.PAUSE_MODEM: self._pause_modem,
            FaultKind.DRAIN_MODEM: self._drain_modem,
            FaultKind.PARTITION_MODEM: self._partition_modem,
            FaultKind.CUT_MODEM: self._cut_modem,
            FaultKind.KILL_GATEWAY: self._kill_gateway,
            FaultKind.PAUSE_GATEWAY: self._pause_gateway,
            FaultKind.END_GATEWAY: self._end_gateway,
            FaultKind.CUT_CLIENTS: self._cut_clients,
            FaultKind.KILL_REDIS: self._kill_redis,
            FaultKind.RESTART_REDIS: self._restart_redis,
            FaultKind.DELIVER_TWICE: self._deliver_twice,
        }

    async def run(self) -> None:
        """Inject faults until cancelled, then wait for those in progress."""
        try:
            while True:
                deck = [kind for kind, times in DECK.items() for _ in range(times)]
                self._chance.shuffle(deck)
                for kind in deck:
                    await asyncio.sleep(self._chance.uniform(0.4, 1.6) * _MEAN_PAUSE_SECONDS)
                    await self._do[kind]()
        finally:
            while self._running:
                await asyncio.wait(self._running)
            await asyncio.to_thread(self._celery.close)

    async def _pick(self, processes: Sequence[KeptProcess]) -> KeptProcess:
        """Return a healthy process, once another one is healthy too: one has to go on."""
        while True:
            well = [each for each in processes if each.name not in self._disturbed and each.is_well(_WARM_SECONDS)]
            if len(well) > 1:
                return self._chance.choice(well)
            await asyncio.sleep(0.1)

    def _note(self, kind: FaultKind, victim: KeptProcess) -> None:
        self.faults.append(Fault(kind, time.time(), victim.name, victim.pid))

    def _run_fault(self, victim: KeptProcess, fault: Awaitable[None]) -> None:
        async def run() -> None:
            self._disturbed.add(victim.name)
            try:
                await fault
            finally:
                self._disturbed.discard(victim.name)

        task = asyncio.create_task(run(), name=f"fault of {victim.name}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _kill_modem(self) -> None:
        modem = await self._pick(self._stack.modems)
        self._note(FaultKind.KILL_MODEM, modem)
        modem.kill()

    async def _pause_modem(self) -> None:
        modem = await self._pick(self._stack.modems)
        self._note(FaultKind.PAUSE_MODEM, modem)
        self._run_fault(modem, modem.pause(self._chance.uniform(*_LONGER_THAN_A_LEASE)))

    async def _drain_modem(self) -> None:
        modem = await self._pick(self._stack.modems)
        self._note(FaultKind.DRAIN_MODEM, modem)
        self._run_fault(modem, modem.end())

    async def _partition_modem(self) -> None:
        modem = await self._pick(self._stack.modems)
        self._note(FaultKind.PARTITION_MODEM, modem)
        self._run_fault(modem, _refuse_connections(self._proxy_of(modem), self._chance.uniform(*_LONGER_THAN_A_LEASE)))

    async def _cut_modem(self) -> None:
        modem = await self._pick(self._stack.modems)
        self._note(FaultKind.CUT_MODEM, modem)
        self._run_fault(modem, self._proxy_of(modem).drop_responses_for(_LOST_ANSWERS_SECONDS))

    async def _kill_gateway(self) -> None:
        gateway = await self._pick(self._stack.gateways)
        self._note(FaultKind.KILL_GATEWAY, gateway)
        gateway.kill()

    async def _pause_gateway(self) -> None:
        gateway = await self._pick(self._stack.gateways)
        self._note(FaultKind.PAUSE_GATEWAY, gateway)
        self._run_fault(gateway, gateway.pause(self._chance.uniform(*_LONGER_THAN_A_LEASE)))

    async def _end_gateway(self) -> None:
        gateway = await self._pick(self._stack.gateways)
        self._note(FaultKind.END_GATEWAY, gateway)
        self._run_fault(gateway, gateway.end())

    async def _cut_clients(self) -> None:
        number = self._chance.randrange(len(self._stack.client_proxies))
        self._note(FaultKind.CUT_CLIENTS, self._stack.gateways[number])
        self._stack.client_proxies[number].cut()

    async def _kill_redis(self) -> None:
        self._note(FaultKind.KILL_REDIS, self._stack.redis)
        self._stack.redis.kill()

    async def _restart_redis(self) -> None:
        self._note(FaultKind.RESTART_REDIS, self._stack.redis)
        await self._stack.redis.end()

    async def _deliver_twice(self) -> None:
        recent = self._runs[-20:]
        for run in self._chance.sample(recent, min(len(recent), _REDELIVERED_AT_ONCE)):
            try:
                await asyncio.to_thread(self._celery.send_task, EXECUTE_RUN_TASK, args=[run.thread_id, run.run_id])
            except (OperationalError, RedisError):
                return  # Redis is away: nothing was delivered
            self._note(FaultKind.DELIVER_TWICE, self._stack.redis)

    def _proxy_of(self, modem: KeptProcess) -> FaultyProxy:
        return self._stack.modem_proxies[self._stack.modems.index(modem)]


async def _refuse_connections(proxy: FaultyProxy, seconds: float) -> None:
    proxy.refuse_connections()
    try:
        await asyncio.sleep(seconds)
    finally:
        proxy.accept_connections()
