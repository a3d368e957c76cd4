"""The Agent: one step is one model call and the tool calls that it asks for."""

from contextlib import aclosing

from shared.contract.run import Question, StopReason
from workflow.agent.bounded_answer import FEWER_CALLS, AnswerSoFar, bounded_answer
from workflow.agent.context import fit_request, readable_conversation
from workflow.agent.engine import Engine
from workflow.agent.loop_detector import LoopDetector
from workflow.agent.prompts import SystemPrompts
from workflow.agent.tool_call_runner import ToolCallRunner
from workflow.errors import ContextOverflowError, ModelError
from workflow.journal.events import EventSpan
from workflow.journal.journal import Journal
from workflow.journal.outcome import Outcome
from workflow.llm.model import FinishReason, ModelAnswer, ModelRequest

_CONTINUE = "Your answer was cut off at the length limit. Go on exactly where it stopped."
_EMPTY = "Your answer was empty. Call a tool, or say in text what you have done."


class Agent:
    """Plans first, then executes; the phase determines its tools and its model."""

    def __init__(self, engine: Engine, journal: Journal, call_runner: ToolCallRunner) -> None:
        self._engine = engine
        self._journal = journal
        self._call_runner = call_runner
        self._prompts = SystemPrompts(engine.prompt_facts)
        self._loop_detector = LoopDetector(engine.config.max_repeats, engine.config.max_empty_answers)

    async def step(self) -> Outcome | Question | None:
        """Call the model once and run its tool calls; None while there is more to do, a Question to wait for.

        Raises ModelError and SandboxUnavailableError, which end the run, and LeaseLostError.
        """
        await self._journal.take_steering()
        answer = await self._ask()
        if answer.finish_reason is FinishReason.REFUSED:
            return self._end(StopReason.REFUSED, answer.text or "The model declined the task.")
        if answer.tool_calls:
            return await self._act(answer)
        if answer.finish_reason is FinishReason.LENGTH:
            await self._journal.note(_CONTINUE)
            return self._stuck_when(self._loop_detector.cut_off())
        if not answer.text.strip():
            await self._journal.note(_EMPTY)
            return self._stuck_when(self._loop_detector.empty())
        return self._end(StopReason.COMPLETED)

    async def resume(self) -> Outcome | Question | None:
        """Run the calls that an earlier attempt left open; a run whose final answer is written is complete."""
        calls = self._journal.unanswered_calls()
        if calls:
            return await self._call_runner.carry_out(calls)
        if not self._journal.is_final_answer_written():
            return None
        await self._journal.take_steering()
        return self._end(StopReason.COMPLETED) if self._journal.is_final_answer_written() else None

    async def _act(self, answer: ModelAnswer) -> Outcome | Question | None:
        nudge, is_stuck = self._loop_detector.calls(answer.tool_calls)
        question = await self._call_runner.carry_out(answer.tool_calls)
        if question:
            return question
        if nudge and not is_stuck:
            await self._journal.note(nudge)
        return self._stuck_when(nudge if is_stuck else None)

    async def _ask(self) -> ModelAnswer:
        try:
            return await self._ask_once(shrink=False)
        except ContextOverflowError:
            return await self._ask_once(shrink=True)

    async def _ask_once(self, *, shrink: bool) -> ModelAnswer:
        phase = self._journal.state.phase
        request = ModelRequest(
            system=self._prompts.render(phase, self._journal.state),
            messages=await readable_conversation(self._journal.messages),
            tools=self._engine.registry.specs(phase),
        )
        request = await fit_request(request, self._engine.counters[phase], shrink=shrink)
        step = self._journal.begin_answer()
        async with aclosing(self._engine.models[phase].stream(request)) as items:
            answer = AnswerSoFar()
            async for item in items:
                if isinstance(item, ModelAnswer):
                    return await self._take(step, item)
                await self._journal.piece(step, answer.add(item))
                if answer.is_too_long:
                    return await self._take(step, answer.cut_off())
        raise ModelError("The model's stream ended without an answer.")

    async def _take(self, step: EventSpan, answer: ModelAnswer) -> ModelAnswer:
        bounded = await self._journal.answer(step, bounded_answer(answer))
        if len(bounded.tool_calls) < len(answer.tool_calls):
            await self._journal.note(FEWER_CALLS.format(kept=len(bounded.tool_calls), made=len(answer.tool_calls)))
        return bounded

    def _stuck_when(self, reason: str | None) -> Outcome | None:
        return self._end(StopReason.STUCK, reason) if reason else None

    def _end(self, reason: StopReason, message: str = "") -> Outcome:
        return Outcome(reason, message, self._journal.usage)
