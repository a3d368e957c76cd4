"""The Runner: one run from its first event to a typed outcome, step by step, within its limits."""

import asyncio
import logging
from typing import Final

from shared.contract.run import Question, StopReason
from shared.errors import LeaseLostError
from workflow.agent.agent import Agent
from workflow.errors import ModelError, SandboxUnavailableError
from workflow.journal.journal import Journal
from workflow.journal.limits import Limits
from workflow.journal.outcome import Outcome
from workflow.journal.ports import Cancellation, Stop
from workflow.tool.end_task import end_task

# Longer than a tool is given to end.
_GRACE_SECONDS: Final = 6.0
_log = logging.getLogger(__name__)


class Runner:
    """Executes one run. On every path the open calls are closed."""

    def __init__(
        self, agent: Agent, journal: Journal, limits: Limits, *, grace_seconds: float = _GRACE_SECONDS
    ) -> None:
        self._agent = agent
        self._journal = journal
        self._limits = limits
        self._grace_seconds = grace_seconds

    async def run(self, cancellation: Cancellation) -> Outcome | Question | None:
        """Return how the run ended, the question it waits for, or None for a hand-over.

        Call `Journal.begin` first. Raises LeaseLostError when this worker may not continue.
        """
        steps = asyncio.create_task(self._steps_in_time(cancellation))
        stop = asyncio.create_task(cancellation.wait())
        try:
            # A step that swallows its timeout is ended here.
            latest = self._limits.left_seconds + self._grace_seconds
            await asyncio.wait((steps, stop), timeout=latest, return_when=asyncio.FIRST_COMPLETED)
            await self._end(steps)
            outcome = self._outcome(steps, stop)
        finally:
            stop.cancel()
            await asyncio.gather(stop, return_exceptions=True)
            if not steps.cancelling():  # this very run was cancelled
                await self._end(steps)
        await self._journal.wait_for_writes()
        if isinstance(outcome, Outcome):
            await self._journal.close_open_calls(f"The run ended before this call did: {outcome.stop_reason}.")
        return outcome

    async def _end(self, steps: asyncio.Task[Outcome | Question | None]) -> None:
        if not steps.done() and not await end_task(steps, grace_seconds=self._grace_seconds):
            self._journal.seal()
            _log.error("a model or tool ignores cancellation of its run; abandoned, its writes are refused")

    def _outcome(
        self, steps: asyncio.Task[Outcome | Question | None], stop: asyncio.Task[Stop]
    ) -> Outcome | Question | None:
        if _is_stopped(steps, stop):
            return self._stopped(stop.result())
        if steps.done() and not steps.cancelled():
            return steps.result()
        if steps.cancelling():
            return self._limits.out_of_time(self._journal.usage)
        raise RuntimeError("A model was cancelled from within.")  # something that it awaited was cancelled

    def _stopped(self, reason: Stop) -> Outcome | None:
        if reason is Stop.LEASE_LOST:
            raise LeaseLostError
        if reason is Stop.HAND_OVER:
            return None
        return Outcome(StopReason.CANCELLED, "The run was cancelled.", self._journal.usage)

    async def _steps_in_time(self, cancellation: Cancellation) -> Outcome | Question | None:
        try:
            async with asyncio.timeout(self._limits.left_seconds) as deadline:
                return await self._steps(cancellation)
        except TimeoutError:
            if not deadline.expired():
                raise
            return self._limits.out_of_time(self._journal.usage)

    async def _steps(self, cancellation: Cancellation) -> Outcome | Question | None:
        try:
            outcome: Outcome | Question | None = await self._agent.resume()
            while outcome is None and not cancellation.should_hand_over:
                outcome = self._limits.exceeded(self._journal.usage) or await self._agent.step()
            return outcome
        except (SystemExit, KeyboardInterrupt) as error:
            # asyncio would end the event loop with all other runs on it.
            raise RuntimeError("A model asked the process to exit.") from error
        except ModelError as error:
            _log.warning("the model failed permanently: %s", error.message)
            return Outcome(StopReason.LLM_ERROR, error.message, self._journal.usage)
        except SandboxUnavailableError as error:
            _log.warning("no sandbox: %s", error.message)
            return Outcome(StopReason.SANDBOX_ERROR, error.message, self._journal.usage)


def _is_stopped(steps: asyncio.Task[Outcome | Question | None], stop: asyncio.Task[Stop]) -> bool:
    """Whether the stop decides the outcome: it interrupted the steps, or cancelled a run that ended with a question."""
    if not stop.done():
        return False
    if not steps.done() or steps.cancelled():
        return True
    is_cancelled = stop.result() is Stop.CANCELLED
    return is_cancelled and steps.exception() is None and isinstance(steps.result(), Question)
