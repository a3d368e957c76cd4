"""One storm: a stack, clients that keep it busy, the killer among them, and what was found afterwards."""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import httpx

from tests.chaos.evidence import gather_evidence
from tests.chaos.fault import Fault
from tests.chaos.killer import Killer
from tests.chaos.report import Report
from tests.chaos.run_client import TIME_LIMITS, Followed, ThreadClient
from tests.chaos.scripted_worker_model import Script
from tests.chaos.stack import Stack

MakeClient = Callable[[httpx.AsyncClient, Sequence[str], random.Random, list[str]], ThreadClient]

# A run that is taken over takes a few leases, and on a busy machine a fault comes in each of its steps; a client that
# waits for this long has been forgotten.
_LOST_SECONDS: Final = 300.0


async def raise_storm(folder: Path, *, runs: int, threads_at_once: int, seed: int) -> Report:
    """Execute so many runs under faults and check what is left; `folder` keeps what the processes printed."""
    chance = random.Random(seed)
    began = time.monotonic()
    async with Stack(folder) as stack:
        followed: list[Followed] = []
        killer = Killer(stack, followed, random.Random(chance.random()))
        dealing = asyncio.create_task(killer.run(), name="killer")
        try:
            threads = iter(list(_threads(runs, chance)))
            chances = [random.Random(chance.random()) for _ in range(threads_at_once)]
            refused = await keep_busy(stack.urls, followed, threads, chances)
        finally:
            dealing.cancel()
            (fault,) = await asyncio.gather(dealing, return_exceptions=True)
        assert isinstance(fault, asyncio.CancelledError), f"the killer failed: {fault!r}"
        stubborn = [each for process in stack.processes for each in process.stubborn]
        await stack.stop_workers()
        evidence = await gather_evidence(stack, followed, refused)
        _write_down(folder / "faults.log", killer.faults)
        return Report(seed, time.monotonic() - began, evidence, killer.faults, stubborn)


async def keep_busy(
    urls: Sequence[str],
    followed: list[Followed],
    threads: Iterator[list[Script]],
    chances: Sequence[random.Random],
    make_client: MakeClient = ThreadClient,
) -> list[str]:
    """Have one client for each of `chances` take thread after thread; return what was refused to them.

    `urls` are the gateways; the list may change meanwhile.
    """
    refused: list[str] = []

    async def work(http: httpx.AsyncClient, chance: random.Random) -> None:
        for scripts in threads:
            # A lost run keeps its client waiting; the checks find it by its record.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOST_SECONDS):
                    await make_client(http, urls, chance, refused).carry_out(scripts, followed)

    limits = httpx.Limits(max_connections=None)
    async with (
        httpx.AsyncClient(trust_env=False, timeout=TIME_LIMITS, limits=limits) as http,
        asyncio.TaskGroup() as clients,
    ):
        for chance in chances:
            clients.create_task(work(http, chance))
    return refused


def _threads(runs: int, chance: random.Random) -> Iterator[list[Script]]:
    """Yield the tasks of one thread after another: mostly one, sometimes more that wait in its inbox."""
    number = 0
    while number < runs:
        count = min(chance.choice((1, 1, 2, 3)), runs - number)
        yield [Script(f"r{number + index}", chance.randint(3, 6)) for index in range(count)]
        number += count


def _write_down(file: Path, faults: Sequence[Fault]) -> None:
    lines = (
        f"{datetime.fromtimestamp(each.at, UTC):%H:%M:%S.%f} {each.kind}: {each.victim} {each.pid}" for each in faults
    )
    file.write_text("\n".join(lines))
