"""The RunLog port over Redis: coalesces streamed text, keeps order, masks secrets, retries while Redis is down."""

import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Final

from modem.service.redis_retry import redis_retry
from modem.service.run_log.event_buffer import EventBuffer
from modem.service.run_log.masking import PieceMask, SecretMask
from modem.service.run_log.write_timing import PriorityGate, pause_seconds
from shared.config import StreamConfig
from shared.contract.event import AgentExecuteData, RunEvent
from shared.contract.message import ChatMessage, Role
from shared.contract.run import Question, RunRecord, Usage
from shared.contract.state import AgentState
from shared.errors import LeaseLostError
from shared.store.run_values import Ended, RunEnd, RunWrite, WaitOutcome
from shared.store.runs import RunStore
from workflow.agent.approval import shorten
from workflow.journal.ports import Written

# With more unwritten output than this the run waits for Redis instead of filling the memory.
_MAX_WAITING_BYTES: Final = 1_048_576
# Masking a longer text that holds a secret takes longer than other runs should wait: about 5 ms for each 10 KB.
MASKED_IN_PLACE: Final = 65_536


class StoreRunLog:
    """Writes one claimed run. Streamed text is written at once when no write is in progress, else in batches."""

    def __init__(
        self,
        runs: RunStore,
        run: RunRecord,
        config: StreamConfig,
        *,
        mask: SecretMask | None = None,
        streamed_fields: Callable[[], Mapping[str, str]] = dict,
        priority_gate: PriorityGate | None = None,
        pace: Callable[[float, float, int], float] = pause_seconds,
    ) -> None:
        self._runs = runs
        self._run = run
        self._config = config
        self._mask = mask or SecretMask()
        self._priority_gate = priority_gate or PriorityGate()
        self._pace = pace
        self._pieces = PieceMask(self._mask, streamed_fields)
        self._buffer = EventBuffer(coalesce=config.coalesce_deltas, drop=config.drop_deltas)
        self._lock = asyncio.Lock()
        self._sequence = 0
        self._flusher: asyncio.Task[None] | None = None
        self._enough = asyncio.Event()
        self._taken = asyncio.Event()
        self._failure: Exception | None = None

    async def emit(self, event: RunEvent) -> None:
        """Buffer an event; it is written at once, or together with what comes meanwhile. Raises LeaseLostError."""
        await self._priority_gate.yield_to_new_runs()
        self._raise_failure()
        self._add(event)
        if self._buffer and (self._flusher is None or self._flusher.done()):
            self._flusher = asyncio.create_task(self._flush())
        if self._buffer.size_bytes >= self._config.flush_bytes:
            self._enough.set()
        if self._buffer.size_bytes >= _MAX_WAITING_BYTES:
            await self._wait_for_room()

    async def commit(
        self,
        events: Sequence[AgentExecuteData],
        messages: Sequence[ChatMessage] = (),
        state: AgentState | None = None,
        usage: Usage | None = None,
    ) -> Written:
        """Write the buffered events and all of this in one call, secrets masked; return it as written.

        Raises LeaseLostError, StoreUnavailableError.
        """
        async with self._lock:
            self._raise_failure()
            if any(message.role is Role.ASSISTANT for message in messages):  # one without text has no event
                self._end_text()
            self._add(*events)
            taken = self._buffer.take()
            self._taken.set()
            if not taken.events and not messages and state is None and usage is None:
                return Written()
            self._sequence += 1
            write = RunWrite(self._sequence, taken.events, messages, state, usage, taken.supersedes_text)
            masked = await self._masked(write, taken.deltas)
            await self._append(masked)
            return Written(masked.messages, masked.state)

    async def take_steering(self) -> Sequence[ChatMessage]:
        """Return the steering messages since the last call. Raises LeaseLostError, StoreUnavailableError."""
        await self.commit([])
        nonce = uuid.uuid4().hex
        messages = await redis_retry(lambda: self._runs.take_steering(self._run, nonce=nonce), self._run.run_id)
        return [self._mask.message(message) for message in messages]

    async def wait(self, question: Question, interrupt: Callable[[Question], AgentExecuteData]) -> WaitOutcome:
        """Write the buffered events, then let the run wait, unless it was cancelled or steered.

        `interrupt` makes the event of the question as it is shown. Raises LeaseLostError, StoreUnavailableError.
        """
        shown = shorten(self._mask.question(question))  # mask first: half a secret is not recognised
        event = interrupt(shown).to_json()
        await self.commit([])
        await self.close()
        return await redis_retry(lambda: self._runs.wait(self._run, shown, event), self._run.run_id)

    async def finish(self, end: RunEnd) -> Ended | None:
        """Write the buffered events, then end the run. Raises LeaseLostError, StoreUnavailableError.

        Returns None when the run would complete but was steered meanwhile: it has to go on.

        After any other write failure the run is ended without its buffered events, so that it does not stay open.
        """
        if self._failure is None or isinstance(self._failure, LeaseLostError):
            self._buffer_held_back()
            await self.commit([])
        await self.close()
        masked = self._mask.end(end)
        return await redis_retry(lambda: self._runs.finish(self._run, masked), self._run.run_id)

    async def close(self) -> None:
        """Stop writing; buffered events are dropped."""
        if self._flusher is not None:
            self._flusher.cancel()
            await asyncio.gather(self._flusher, return_exceptions=True)
            self._flusher = None

    def _add(self, *events: RunEvent) -> None:
        for event in events:
            for masked in self._pieces.pass_on(event):
                self._buffer.add(masked)

    def _end_text(self) -> None:
        """The model's answer is complete: its streamed deltas are superseded."""
        self._buffer_held_back()
        self._buffer.supersede_text()

    def _buffer_held_back(self) -> None:
        for event in self._pieces.finish():
            self._buffer.add(event)

    async def _masked(self, write: RunWrite, deltas: Set[int]) -> RunWrite:
        """Return the write without secrets; the deltas were masked piece by piece."""
        is_masked = len(deltas) == len(write.events) and not write.messages and write.state is None
        if self._mask.is_empty or is_masked:
            return write
        size = sum(map(len, write.events)) + sum(message.size() for message in write.messages)
        if size < MASKED_IN_PLACE:
            return self._mask.write(write, deltas)
        return await asyncio.to_thread(self._mask.write, write, deltas)

    async def _append(self, write: RunWrite) -> None:
        try:
            await redis_retry(lambda: self._runs.append(self._run, write), self._run.run_id)
        except Exception as error:
            self._failure = error  # this write is lost, so nothing may be written after it
            self._taken.set()
            raise

    async def _wait_for_room(self) -> None:
        # The flusher writes, not the caller: a cancelled caller must not lose output.
        self._enough.set()
        self._taken.clear()
        await self._taken.wait()
        self._raise_failure()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    async def _flush(self) -> None:
        """Write until the buffer is empty; a failure is raised at the next emit or commit."""
        now = asyncio.get_running_loop().time
        while self._buffer and self._failure is None:
            self._enough.clear()
            began_at = now()
            await self.commit([])
            pause = self._pace(self._config.flush_interval, now() - began_at, self._buffer.pieces)
            if pause <= 0:
                continue
            try:
                async with asyncio.timeout(pause):
                    await self._enough.wait()
            except TimeoutError:
                continue
