"""Runs the tool calls of one turn: each gets exactly one result; one failure does not affect the others."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Final

from pydantic import JsonValue

from shared.contract.message import ToolCall
from shared.contract.run import Question
from shared.contract.state import Phase
from workflow.agent.approval import answered, approval_of, approval_question
from workflow.agent.engine import Engine
from workflow.journal.journal import Journal
from workflow.service.sandbox.base import Sandbox
from workflow.tool.base import ToolContext, ToolResult
from workflow.tool.checked_result import plain_json
from workflow.tool.executor import execute_call
from workflow.tool.question import question_of
from workflow.tool.registry import RegisteredTool
from workflow.tool.streamed_output import StreamedOutput

_BESIDE: Final = "Not carried out: {name} must be the only call of its turn. Make this call again in the next one."
# A call that was in flight when this many workers died may be the cause; it is not made again.
_MAX_WORKERS_LOST: Final = 2
_UNKNOWN: Final = (
    "The worker was replaced while this call ran: it may have been carried out fully, partly, or not at all. It was not"
    " made again. Check what it did before you go on."
)


class ToolCallRunner:
    """Runs the calls of a turn in order; adjacent calls that are independent run concurrently."""

    def __init__(self, engine: Engine, journal: Journal, *, thread_id: str, run_id: str) -> None:
        self._engine = engine
        self._journal = journal
        self._thread_id = thread_id
        self._run_id = run_id
        self._slots = asyncio.Semaphore(engine.config.max_parallel_tools)

    async def carry_out(self, calls: Sequence[ToolCall]) -> Question | None:
        """Run every call, or return the question that a person has to be asked before the turn can go on.

        Raises SandboxUnavailableError, once the concurrent calls have their results.
        """
        phase = self._journal.state.phase
        exclusive = next((call for call in calls if self._engine.registry.is_exclusive(call.name)), None)
        if exclusive:
            await self._refuse([call for call in calls if call is not exclusive], exclusive.name)
        for group in self._groups([exclusive] if exclusive else calls):
            question = self._approval_question(group[0]) or await self._carry_out_group(group, phase)
            if question:
                return question
        return None

    async def _carry_out_group(self, group: Sequence[ToolCall], phase: Phase) -> Question | None:
        left_open = await self._begin(group)
        results = await asyncio.gather(
            *(self._one(call, phase, was_begun=call.call_id in left_open) for call in group), return_exceptions=True
        )
        questions = []
        for result in results:
            if isinstance(result, BaseException):
                raise result
            if result is not None:
                questions.append(result)
        return questions[0] if questions else None

    async def _begin(self, calls: Sequence[ToolCall]) -> frozenset[str]:
        """Begin the calls that no earlier attempt has begun; return the ids of the others."""
        left_open = frozenset(call.call_id for call in calls if self._journal.is_in_flight(call))
        new = [call for call in calls if call.call_id not in left_open]
        if new:
            uses_workspace = any(self._engine.registry.uses_workspace(call.name) for call in new)
            await self._journal.begin_calls(new, uses_workspace=uses_workspace)
        return left_open

    async def _refuse(self, calls: Sequence[ToolCall], exclusive: str) -> None:
        await self._begin(calls)
        for call in calls:
            await self._journal.end_call(call, ToolResult(_BESIDE.format(name=exclusive), is_error=True))

    def _groups(self, calls: Sequence[ToolCall]) -> list[list[ToolCall]]:
        keyed = [(self._group_key(call, position), call) for position, call in enumerate(calls)]
        return [[call for _, call in group] for _, group in groupby(keyed, key=lambda pair: pair[0])]

    def _group_key(self, call: ToolCall, position: int) -> str:
        registered = self._engine.registry.find(call.name)
        if registered is None:
            return "reads"
        if registered.needs_approval:
            return f"alone {position}"
        if registered.tool.effect.read_only:
            return "reads"
        return call.name if registered.tool.concurrent else f"alone {position}"

    def _approval_question(self, call: ToolCall) -> Question | None:
        if self._journal.is_in_flight(call):
            return None
        return approval_question(self._engine.registry.find(call.name), call, self._journal.decision_for(call))

    async def _one(self, call: ToolCall, phase: Phase, *, was_begun: bool) -> Question | None:
        if was_begun and not self._may_run_again(call):
            await self._journal.end_call(call, ToolResult(_UNKNOWN, is_error=True))
            return None
        answer = self._journal.decision_for(call)
        approval = approval_of(call, answer)
        result = approval.refusal
        if result is None:
            async with self._slots:
                result = await execute_call(self._engine.registry, approval.call, phase, self._context_for(call))
        if self._engine.registry.asks_user(call.name) and not result.is_error:
            question = question_of(call.call_id, result)
            if answer is None:
                return question
            result = answered(question, answer)
        await self._journal.end_call(call, result)
        return None

    def _may_run_again(self, call: ToolCall) -> bool:
        if self._journal.workers_lost(call) >= _MAX_WORKERS_LOST:
            return False
        registered = self._engine.registry.find(call.name)
        return registered is None or registered.tool.effect.idempotent or registered.tool.effect.read_only

    def _context_for(self, call: ToolCall) -> Callable[[RegisteredTool], ToolContext]:
        async def sandbox() -> Sandbox:
            found = await self._engine.sandbox()
            self._journal.note_workspace_use()
            return found

        def make(registered: RegisteredTool) -> ToolContext:
            streamed = StreamedOutput(registered.tool.streamed_field)

            async def progress(result: Mapping[str, JsonValue]) -> None:
                piece = streamed.piece(plain_json(result))
                if piece is not None:
                    await self._journal.progress(call, piece)

            return ToolContext(
                thread_id=self._thread_id,
                run_id=self._run_id,
                call_id=call.call_id,
                state=self._journal.state,
                sandbox=sandbox,
                progress=progress,
                timeout_seconds=registered.timeout_seconds,
                max_output_chars=registered.max_output_chars,
                options=registered.options,
            )

        return make
