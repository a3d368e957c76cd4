"""One change of versions under load: runs of the leaving version are open, both serve, and one is left.

leaving alone -> all services -> leaving workers drained and killed -> leaving gateways stopped and killed
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from shared.contract.run import RunStatus
from tests.chaos.run_client import Followed
from tests.chaos.scripted_worker_model import Pause
from tests.chaos.waiting import until
from tests.upgrade.audience import Audience
from tests.upgrade.cast import Cast
from tests.upgrade.person import Person
from tests.upgrade.stack import MixedStack, Service
from tests.upgrade.version import Version
from tests.upgrade.witness import Witness

EACH: Final = 2  # gateways and workers of one version: one of each is asked to stop, one is killed
_LOAD_RUNS: Final = 6  # that end in each part


class Turnover:
    """The services of `leaving` run; `play` starts those of `coming` and returns them, the only ones in the end."""

    def __init__(
        self, stack: MixedStack, audience: Audience, witness: Witness, cast: Cast, *, versions: Sequence[Version]
    ) -> None:
        self._stack = stack
        self._audience = audience
        self._witness = witness
        self._cast = cast
        self._versions = versions
        self._questions: list[Followed] = []
        self._letters: list[Followed] = []
        self._held: list[Followed] = []  # by the workers that leave, one each

    async def play(self, leaving: Sequence[Service], coming: Version) -> list[Service]:
        """Return the services that run in the end."""
        gateways = [service for service in leaving if service.url]
        modems = [service for service in leaving if not service.url]
        here = self._audience.person(gateways[0].url)
        doomed = await self._open(here, modems)
        new_modems, new_gateways = await asyncio.gather(
            self._stack.add_modems(coming, EACH), self._stack.add_gateways(coming, EACH)
        )
        there = self._audience.person(new_gateways[0].url)
        await self._mix(there, doomed, [*gateways, *new_gateways])
        await self._leave_modems(modems, new_modems)
        await self._use_old_gateway(here)
        await self._leave_gateways(gateways)
        await self._close(there)
        return [*new_modems, *new_gateways]

    async def _open(self, here: Person, modems: Sequence[Service]) -> list[Followed]:
        """Have runs of the leaving version wait for persons and at gates; return three that are not to complete."""
        cast = self._cast
        self._questions = await cast.begin_all(here, (Pause.QUESTION,) * 2)
        self._letters = await cast.begin_all(here, (Pause.APPROVAL,) * 2)
        doomed = await cast.begin_all(here, (Pause.QUESTION, Pause.GATE, Pause.GATE), RunStatus.CANCELLED)
        self._audience.publish_legacy(cast.script(Pause.GATE))
        self._held = await cast.hold_in_each(here, modems, Pause.GATE)
        await cast.hold_in_each(here, modems, Pause.COMMAND)
        for run in self._held:
            await self._steer(here, run, "before")
        return doomed

    async def _mix(self, there: Person, doomed: Sequence[Followed], gateways: Sequence[Service]) -> None:
        """While both versions serve, reach runs of leaving workers through a coming gateway."""
        urls = [gateway.url for gateway in gateways]
        for version, run in zip(self._versions, self._held, strict=True):
            self._audience.follow_by_sdk(version, run, 1, urls)
            self._audience.follow_thread(run, 1)
        self._audience.publish_legacy(self._cast.script())
        for run in self._held:
            await self._steer(there, run, "across")
        unanswered, running, replaced = doomed
        await there.cancel(unanswered)
        await there.cancel(running)
        self._audience.follow(await there.interrupt(replaced, self._cast.script()))
        await until(lambda: all(run.has_completed for run in doomed))
        await self._let_load_pass()

    async def _leave_modems(self, leaving: Sequence[Service], coming: Sequence[Service]) -> None:
        """End one worker and kill the other, so that the runs of both go to the other version."""
        drained, killed = leaving
        self._witness.drained.add(drained.pid)
        self._witness.killed.add(killed.pid)
        await asyncio.gather(drained.process.stop(), killed.process.kill_for_good())
        await self._cast.until_owned_by(self._held, coming)

    async def _use_old_gateway(self, here: Person) -> None:
        """Reach runs of coming workers through a leaving gateway."""
        held = await self._cast.begin(here, Pause.GATE)
        cancelled = await self._cast.begin(here, Pause.GATE, RunStatus.CANCELLED)
        await self._steer(here, held, "back")
        await here.cancel(cancelled)
        await self._answer(here, self._questions[0], self._letters[0])
        await until(lambda: cancelled.has_completed)
        await self._let_load_pass()

    async def _leave_gateways(self, leaving: Sequence[Service]) -> None:
        """Stop one gateway and kill the other, whose clients find those that are left."""
        for gateway in leaving:
            self._stack.urls.remove(gateway.url)
        stopped, killed = leaving
        await asyncio.gather(stopped.process.stop(), killed.process.kill_for_good())

    async def _close(self, there: Person) -> None:
        """Let everything that is open go on with the services that are left."""
        await self._answer(there, self._questions[1], self._letters[1])
        self._cast.open_gates()
        await self._let_load_pass()

    async def _steer(self, person: Person, run: Followed, when: str) -> None:
        text = f"{run.script.name}, {when}"
        await person.steer(run, text)
        self._witness.steered.append((run, text))

    async def _answer(self, person: Person, question: Followed, letter: Followed) -> None:
        text = f"colour of {question.script.name}"
        await person.answer(question, text)
        await person.approve(letter)
        self._witness.answered.append((question, text))
        self._witness.approved.append(letter)

    async def _let_load_pass(self) -> None:
        """Return once so many more runs have ended."""
        wanted = self._witness.completed() + _LOAD_RUNS
        await until(lambda: self._witness.completed() >= wanted)
