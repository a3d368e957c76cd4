"""The story: a stack of the old version is rolled forward to the new one under load, and back."""

import asyncio
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import httpx
from redis.asyncio import Redis

from tests.chaos.evidence import gather_evidence
from tests.chaos.run_client import TIME_LIMITS
from tests.chaos.scripted_worker_model import Script
from tests.chaos.storm import keep_busy
from tests.upgrade.audience import Audience
from tests.upgrade.cast import Cast
from tests.upgrade.findings import Outcome, gather_outcome
from tests.upgrade.stack import MixedStack
from tests.upgrade.stream_reader import WatchingClient
from tests.upgrade.turnover import EACH, Turnover
from tests.upgrade.version import Version
from tests.upgrade.witness import Witness

_CLIENTS: Final = 6
_LONGEST_TURNS: Final = 3


@dataclass(slots=True)
class _Load:
    """Tasks without end, until it is switched off."""

    chance: random.Random
    is_on: bool = True
    given: int = 0

    def threads(self) -> Iterator[list[Script]]:
        """Yield the tasks of one thread after another: some wait in its inbox."""
        while self.is_on:
            scripts = []
            for _ in range(self.chance.choice((1, 1, 2))):
                self.given += 1
                scripts.append(Script(f"r{self.given}", self.chance.randint(1, _LONGEST_TURNS)))
            yield scripts


async def roll_forward_and_back(folder: Path, *, old: Version, new: Version, seed: int) -> Outcome:
    """Play the story in a folder, which keeps what the processes printed; return what came of it."""
    began, chance, witness = time.monotonic(), random.Random(seed), Witness()
    async with MixedStack(folder) as stack, httpx.AsyncClient(trust_env=False, timeout=TIME_LIMITS) as http:
        audience = Audience(stack, http, witness, random.Random(chance.random()))
        modems, gateways = await asyncio.gather(stack.add_modems(old, EACH), stack.add_gateways(old, EACH))
        services = [*modems, *gateways]
        load = _Load(random.Random(chance.random()))
        busy = asyncio.create_task(_keep_busy(stack, witness, load), name="clients")
        try:
            async with Redis.from_url(stack.redis_url, decode_responses=True) as redis:
                for coming in (new, old):
                    cast = Cast(f"to-{coming.label}", stack, redis, audience.follow)
                    turnover = Turnover(stack, audience, witness, cast, versions=(old, new))
                    services = await turnover.play(services, coming)
        finally:
            load.is_on = False
            witness.refused += await busy
            await audience.finish()
            await stack.stop_all()
        evidence = await gather_evidence(stack, witness.runs, witness.refused)
        return await gather_outcome(stack, witness, evidence, seconds=time.monotonic() - began)


async def _keep_busy(stack: MixedStack, witness: Witness, load: _Load) -> list[str]:
    chances = [random.Random(load.chance.random()) for _ in range(_CLIENTS)]
    make_client = partial(WatchingClient, views=witness.views)
    return await keep_busy(stack.urls, witness.runs, load.threads(), chances, make_client)
