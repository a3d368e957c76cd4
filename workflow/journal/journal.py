"""The journal of one run: a call is written before it is made, its result and message after."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from pydantic import JsonValue

from shared.contract.event import AgentExecuteData
from shared.contract.message import ChatMessage, Role, ToolCall
from shared.contract.run import Answer, Question, RunRecord
from shared.contract.state import AgentState, Phase
from shared.errors import LeaseLostError
from workflow.journal.calls_in_flight import (
    calls_begun,
    count_lost_worker,
    with_calls,
    with_unique_ids,
    without_call,
)
from workflow.journal.events import EventFactory, EventSpan
from workflow.journal.observer import NoObserver, RunObserver, StepEnded, ToolCallEnded
from workflow.journal.ports import RunLog
from workflow.journal.workspace_note import FindPlace, files_note, nowhere, processes_note, uses_sandbox
from workflow.llm.model import ModelAnswer, StreamRestarted, TextDelta
from workflow.service.sandbox.base import WorkspacePlace
from workflow.tool.base import ToolResult
from workflow.tool.registry import ToolRegistry

StateChange = Callable[[AgentState], AgentState]


class Journal:
    """Writes one run; conversation, state and usage are always as they were last written."""

    def __init__(
        self,
        log: RunLog,
        events: EventFactory,
        run: RunRecord,
        *,
        messages: Sequence[ChatMessage],
        state: AgentState,
        observer: RunObserver | None = None,
    ) -> None:
        self._log = log
        self._events = events
        self._run = run
        self._observer = observer or NoObserver()
        self._has_begun = False
        self._is_sealed = False
        self._lock = asyncio.Lock()
        self._writes: set[asyncio.Task[Sequence[ChatMessage]]] = set()
        self.messages: list[ChatMessage] = list(messages)
        self.state = state
        self._in_flight: dict[str, tuple[EventSpan, ToolCall]] = calls_begun(self.state, self._own_messages())
        self.usage = run.usage
        self._find_place: FindPlace = nowhere
        self._place: WorkspacePlace | None = None
        self._uses_workspace = False
        self._late_note: str | None = None  # written once all open calls are answered

    async def begin(self, message: ChatMessage, find_place: FindPlace = nowhere, *, tools: ToolRegistry) -> None:
        """Write the task as the run's first event and message, unless an earlier attempt did.

        `find_place` returns where the thread's files are kept on this machine; it is called once there are any. A note
        tells the model when they are not as it left them; `tools` say which earlier calls were about files.
        """
        if self._has_begun:
            return
        self._has_begun = True
        self._find_place = find_place
        self._place = await find_place() if uses_sandbox(self.state, self.messages, tools) else None
        moved = files_note(self.state, self._place)
        if any(earlier.run_id == self._run.run_id for earlier in self.messages):
            await self._resume(moved, tools)
            return
        events, messages = [self._events.user_message(self._run)], [message]
        if moved:
            events.append(self._events.sandbox_replaced())
            messages.append(ChatMessage(role=Role.USER, content=moved))
        await self._commit(events, messages, change=_plan_anew)

    def note_workspace_use(self) -> None:
        """Note that the thread's files are on this disk from now on; written with the next commit."""
        self._uses_workspace = True

    @property
    def run(self) -> RunRecord:
        """The run as it was claimed."""
        return self._run

    def unanswered_calls(self) -> tuple[ToolCall, ...]:
        """Return the calls of the model's last answer in this run that have no result yet, in call order."""
        answered = {message.tool_call_id for message in self.messages if message.role is Role.TOOL}
        for message in reversed(self._own_messages()):
            if message.role is Role.ASSISTANT:
                return tuple(call for call in message.tool_calls if call.call_id not in answered)
        return ()

    def is_final_answer_written(self) -> bool:
        """Whether the run's last message is an answer of the model without tool calls."""
        own = self._own_messages()
        return bool(own) and own[-1].role is Role.ASSISTANT and not own[-1].tool_calls

    def is_in_flight(self, call: ToolCall) -> bool:
        """Whether this call was begun in the log and has not ended."""
        return call.call_id in self._in_flight

    def workers_lost(self, call: ToolCall) -> int:
        """Return how many workers have died while this call was in flight."""
        return next((each.workers_lost for each in self.state.in_flight if each.call_id == call.call_id), 0)

    def seal(self) -> None:
        """Refuse further writes with LeaseLostError: for steps that could not be ended."""
        self._is_sealed = True

    async def wait_for_writes(self) -> None:
        """Wait for the writes in progress."""
        await asyncio.gather(*self._writes, return_exceptions=True)

    async def take_steering(self) -> None:
        """Append the steering messages that arrived meanwhile to the conversation."""
        self._raise_if_sealed()
        async with self._lock:
            self.messages.extend(await self._log.take_steering())

    async def note(self, text: str) -> None:
        """Write a note to the model that no client sees."""
        self._raise_if_sealed()
        await self._commit([], [ChatMessage(role=Role.USER, content=text)])

    def begin_answer(self) -> EventSpan:
        """Begin one model call."""
        return self._events.begin("assistant_response")

    async def piece(self, step: EventSpan, item: TextDelta | StreamRestarted) -> None:
        """Stream a piece of text, or that the text so far is void."""
        self._raise_if_sealed()
        if isinstance(item, TextDelta):
            await self._log.emit(self._events.delta(step, item))
        else:
            await self._log.emit(self._events.restarted(step, item.reason, item.attempt))

    async def answer(self, step: EventSpan, answer: ModelAnswer) -> ModelAnswer:
        """Write a complete answer before anything is done about it, so that it is never paid for twice.

        Returns it as it was written: secrets are masked, and each call has a unique id.
        """
        self._raise_if_sealed()
        answer = replace(answer, tool_calls=with_unique_ids(answer.tool_calls, self.messages))
        used = answer.usage.model_copy(update={"steps": 1})
        self.usage = self.usage.plus(used)
        events = [self._events.response(step, answer.text)] if answer.text else []
        message = ChatMessage(role=Role.ASSISTANT, content=answer.text, tool_calls=answer.tool_calls)
        has_content = bool(answer.text or answer.tool_calls)
        written = await self._commit(events, [message] if has_content else [])
        self._observer.observe(StepEnded(self._run, used, self._events.seconds_since(step)))
        return replace(answer, text=written[0].text(), tool_calls=written[0].tool_calls) if written else answer

    async def begin_calls(self, calls: Sequence[ToolCall], *, uses_workspace: bool = False) -> None:
        """Write that these calls are about to be made, and whether on the thread's files."""
        self._raise_if_sealed()
        events: list[AgentExecuteData] = []
        for call in calls:
            step = self._events.begin(f"tool_{call.name}")
            self._in_flight[call.call_id] = (step, call)
            events.append(self._events.tool_init(step, call))
        # Before the calls: their worker may die, and its files are on this disk only.
        self._uses_workspace = self._uses_workspace or uses_workspace
        await self._commit(events, [], change=self._with_in_flight)

    async def progress(self, call: ToolCall, result: Mapping[str, JsonValue]) -> None:
        """Stream output of a call."""
        self._raise_if_sealed()
        if call.call_id not in self._in_flight:
            return  # an abandoned tool writes nothing more
        step, _ = self._in_flight[call.call_id]
        await self._log.emit(self._events.tool_progress(step, result))

    async def end_call(self, call: ToolCall, result: ToolResult) -> None:
        """Write the result of a call: event, message and state in one commit."""
        self._raise_if_sealed()
        await self._end_call(call, result)

    async def withdraw(self, call_id: str, reason: str) -> None:
        """End a call whose question was not put to a person."""
        (call,) = [call for call in self.unanswered_calls() if call.call_id == call_id]
        if not self.is_in_flight(call):
            await self.begin_calls([call])
        await self.end_call(call, ToolResult(text=reason, is_error=True))

    def interrupt(self, question: Question) -> AgentExecuteData:
        """Return the event that puts a question to a person."""
        step, _ = self._in_flight.get(question.call_id, (self._events.begin(question.kind.value), None))
        return self._events.interrupt(step, question)

    def decision_for(self, call: ToolCall) -> Answer | None:
        """Return a person's answer to this call, if there is one."""
        answer = self._run.answer
        return answer if answer is not None and answer.call_id == call.call_id else None

    async def close_open_calls(self, reason: str) -> None:
        """End every call that is still open with an error, so that every `init` event has an end."""
        await self.wait_for_writes()
        for _, call in list(self._in_flight.values()):
            await self._end_call(call, ToolResult(text=reason, is_error=True))

    async def _end_call(self, call: ToolCall, result: ToolResult) -> None:
        step, _ = self._in_flight[call.call_id]
        message = ChatMessage(role=Role.TOOL, content=result.text, tool_call_id=call.call_id)
        await self._commit([self._events.tool_end(step, result)], [message], change=result.state, ended=call.call_id)
        seconds = self._events.seconds_since(step)
        self._observer.observe(ToolCallEnded(self._run, call.name, result.is_error, seconds))

    def _raise_if_sealed(self) -> None:
        if self._is_sealed:
            raise LeaseLostError

    async def _commit(
        self,
        events: Sequence[AgentExecuteData],
        messages: Sequence[ChatMessage],
        *,
        change: StateChange | None = None,
        ended: str | None = None,
    ) -> Sequence[ChatMessage]:
        """Write, then keep what was written; both are completed even if the caller is cancelled."""
        write = asyncio.create_task(self._write(events, messages, change, ended))
        self._writes.add(write)
        write.add_done_callback(self._writes.discard)
        return await asyncio.shield(write)

    async def _write(
        self,
        events: Sequence[AgentExecuteData],
        messages: Sequence[ChatMessage],
        change: StateChange | None,
        ended: str | None,
    ) -> Sequence[ChatMessage]:
        async with self._lock:
            now = self._events.now()
            messages, late_note = self._with_late_note(messages)
            stamped = [
                message.model_copy(update={"run_id": self._run.run_id, "created_at": now}) for message in messages
            ]
            state = change(self.state) if change else self.state
            if ended is not None:
                state = without_call(state, ended)
            if self._uses_workspace and late_note is None:
                self._place = self._place or await self._find_place()
                state = state.model_copy(update={"workspace_disk": self._place.disk_id}) if self._place else state
            written = await self._log.commit(events, stamped, state if state != self.state else None, self.usage)
            self.messages.extend(written.messages)
            self.state = written.state or self.state
            self._late_note = late_note
            if ended is not None:
                del self._in_flight[ended]
            return written.messages

    async def _resume(self, moved: str | None, tools: ToolRegistry) -> None:
        """Write that another attempt continues, and what was lost; after a person's answer only if files moved.

        The note to the model waits until no call is open: it may not stand between a call and its result. Calls in
        flight when a worker died are counted before any of them can begin again.
        """
        change = count_lost_worker if self._run.after_crash else None
        is_answered = any(self.decision_for(call) for call in self.unanswered_calls())
        note = moved or (None if is_answered else processes_note(self.messages, tools))
        events = [] if is_answered else [self._events.resumed(self._run.attempts)]
        if note:
            events.append(self._events.sandbox_replaced())
        if self.is_final_answer_written():
            await self._commit(events, [], change=change)
        elif self.unanswered_calls():
            self._late_note = note
            await self._commit(events, [], change=change)
        else:
            await self._commit(events, [ChatMessage(role=Role.USER, content=note)] if note else [], change=change)

    def _with_late_note(self, messages: Sequence[ChatMessage]) -> tuple[Sequence[ChatMessage], str | None]:
        """Return the messages, with the late note if they answer the last open call; and the note that still waits."""
        if self._late_note is None or not messages:
            return messages, self._late_note
        answered = {message.tool_call_id for message in messages}
        if any(call.call_id not in answered for call in self.unanswered_calls()):
            return messages, self._late_note
        return [*messages, ChatMessage(role=Role.USER, content=self._late_note)], None

    def _own_messages(self) -> list[ChatMessage]:
        """Return this run's part of the conversation: open calls of an earlier run ended with that run."""
        return [message for message in self.messages if message.run_id == self._run.run_id]

    def _with_in_flight(self, state: AgentState) -> AgentState:
        return with_calls(state, self._in_flight.values())


def _plan_anew(state: AgentState) -> AgentState:
    return state.model_copy(update={"phase": Phase.PLANNING, "in_flight": ()})
