"""The runs that the story needs at certain places: begun, awaited at their pause, and found at their worker."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from redis.asyncio import Redis

from shared.contract.run import RunStatus
from tests.chaos.run_client import Followed
from tests.chaos.scripted_worker_model import EFFECTS_FILE, MODEL_CALLS_FILE, Pause, Script
from tests.chaos.waiting import until, until_async
from tests.upgrade.person import Person
from tests.upgrade.stack import MixedStack, Service

_TURNS: Final = 2
_MOST_HELD: Final = 10


class Cast:
    """Begins runs of one act, which `follow` is told of; `name` is the act's."""

    def __init__(self, name: str, stack: MixedStack, redis: "Redis", follow: Callable[[Followed], None]) -> None:
        self._name = name
        self._stack = stack
        self._redis: Any = redis  # redis-py types every answer as perhaps awaitable
        self._follow = follow
        self._scripts: list[Script] = []

    def script(self, pause: Pause = Pause.NONE) -> Script:
        """Return a task of a name of its own."""
        script = Script(f"{self._name}-{pause or 'plain'}-{len(self._scripts)}", _TURNS, pause)
        self._scripts.append(script)
        return script

    async def begin(self, person: Person, pause: Pause, expected: RunStatus = RunStatus.COMPLETED) -> Followed:
        """Return a run that somebody follows, once it waits at its pause."""
        run = await person.begin(self.script(pause), expected=expected)
        self._follow(run)
        await self.until_it_waits(run)
        return run

    async def begin_all(
        self, person: Person, pauses: Sequence[Pause], expected: RunStatus = RunStatus.COMPLETED
    ) -> list[Followed]:
        """Return a run for each of these pauses, begun side by side."""
        return await asyncio.gather(*(self.begin(person, pause, expected) for pause in pauses))

    async def hold_in_each(self, person: Person, modems: Sequence[Service], pause: Pause) -> list[Followed]:
        """Return, for each worker, a run that it holds; each may hold more."""
        held: dict[int, Followed] = {}
        for _ in range(_MOST_HELD):
            for run in await self.begin_all(person, (pause,) * len(modems)):
                held[await self._owner(run)] = run
            if all(modem.pid in held for modem in modems):
                return [held[modem.pid] for modem in modems]
        raise AssertionError(f"{_MOST_HELD} runs did not reach every worker")

    async def until_it_waits(self, run: Followed) -> None:
        """Return once a run is at its pause: its model holds its answer, its command waits, or a person is asked."""
        if run.script.pause == Pause.COMMAND:
            effects = self._stack.workspace(run.thread_id) / EFFECTS_FILE
            call = f"{run.script.name}-{run.script.turns}-0\n"
            await until(lambda: effects.exists() and call in effects.read_text())
        elif run.script.pause == Pause.GATE:
            call = f"{run.script.name} {run.script.turns}"
            await until(lambda: call in self._stack.printed(MODEL_CALLS_FILE))
        else:
            await until_async(partial(self._is, run, RunStatus.WAITING))

    async def until_owned_by(self, runs: Sequence[Followed], services: Sequence[Service]) -> None:
        """Return once these workers have all of these runs."""
        pids = {service.pid for service in services}
        for run in runs:
            await until_async(partial(self._is_owned, run, pids))

    def open_gates(self) -> None:
        """Let everything that is held go on."""
        for script in self._scripts:
            self._stack.open_gate(script.name)

    async def until_it_ends(self, run: Followed) -> None:
        """Return once the record says so."""
        await until_async(partial(self._has_ended, run))

    async def _has_ended(self, run: Followed) -> bool:
        return bool(await self._field(run, "completion_id"))

    async def _is(self, run: Followed, status: RunStatus) -> bool:
        return await self._field(run, "status") == status

    async def _is_owned(self, run: Followed, pids: set[int]) -> bool:
        return await self._owner(run) in pids

    async def _owner(self, run: Followed) -> int:
        """Return the process id of a run's worker, 0 without one."""
        owner = str(await self._field(run, "owner") or "")
        return int(owner.split(":")[1]) if owner else 0

    async def _field(self, run: Followed, name: str) -> str | None:
        found: str | None = await self._redis.hget(f"thread:{run.thread_id}:run:{run.run_id}", name)
        return found
