"""A rolling restart under load: one worker after the other is stopped, and its runs go on elsewhere."""

import asyncio
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.chaos.checks import CHECKS
from tests.chaos.evidence import Evidence, gather_evidence
from tests.chaos.fault import Fault, FaultKind
from tests.chaos.kept_process import Ending, KeptProcess
from tests.chaos.run_client import Followed
from tests.chaos.scripted_worker_model import Script
from tests.chaos.stack import Stack
from tests.chaos.storm import keep_busy
from tests.chaos.takeovers import find_takeovers
from tests.chaos.waiting import until, until_it_takes_jobs

# The load has to be up before the first restart.
_FIRST_RUNS: Final = 5


@dataclass(slots=True)
class RollingRestart:
    """The result of a rolling restart."""

    evidence: Evidence
    restarts: list[Fault]
    endings: list[Ending]
    seconds: float = 0.0

    def findings(self) -> dict[str, list[str]]:
        """Return the violations of each guarantee."""
        found = {name: list(check(self.evidence)) for name, check in CHECKS.items()}
        runs = self.evidence.runs
        found["runs taken over instead of handed over"] = [run.name for run in runs if run.crashes]
        found["model answers paid twice"] = [turn for turn, times in self.evidence.model_calls.items() if times > 1]
        found["workers that did not exit with 0"] = [str(ending) for ending in self.endings if ending.code != 0]
        return found

    @property
    def hand_overs(self) -> int:
        """How often a run went on in another worker."""
        return sum(len(run.attempts) - 1 for run in self.evidence.runs)

    @property
    def hand_over_seconds(self) -> list[float]:
        """From the signal to the next attempt's first text, where the former owner is known."""
        return [each.seconds for each in find_takeovers(self.evidence.runs, self.restarts)]


@dataclass(slots=True)
class _Load:
    """Tasks without end, until it is switched off."""

    chance: random.Random
    is_on: bool = True
    given: int = 0
    followed: list[Followed] = field(default_factory=list)

    def threads(self) -> Iterator[list[Script]]:
        """Yield the tasks of one thread after another."""
        while self.is_on:
            self.given += 1
            yield [Script(f"r{self.given}", self.chance.randint(3, 6))]


async def restart_one_by_one(folder: Path, *, modems: int, rounds: int, clients: int, seed: int) -> RollingRestart:
    """Restart so many modems, each once a round, while so many clients keep the stack busy."""
    began = time.monotonic()
    load = _Load(random.Random(seed))
    async with Stack(folder) as stack:
        chances = [random.Random(load.chance.random()) for _ in range(clients)]
        busy = asyncio.create_task(keep_busy(stack.urls, load.followed, load.threads(), chances), name="clients")
        try:
            await until(lambda: len(load.followed) >= _FIRST_RUNS)
            restarts = [await _restart(modem, stack) for _ in range(rounds) for modem in stack.modems[:modems]]
        finally:
            load.is_on = False
            refused = await busy
        endings = [ending for modem in stack.modems for ending in modem.endings]
        await stack.stop_workers()
        evidence = await gather_evidence(stack, load.followed, refused)
    return RollingRestart(evidence, restarts, endings, time.monotonic() - began)


async def _restart(modem: KeptProcess, stack: Stack) -> Fault:
    """Stop a worker; return once it is gone and its successor takes jobs."""
    starts = modem.starts
    restart = Fault(FaultKind.DRAIN_MODEM, time.time(), modem.name, modem.pid)
    await modem.end()
    await until(lambda: modem.starts > starts)
    await until_it_takes_jobs(stack.redis_url, modem.pid)
    return restart
