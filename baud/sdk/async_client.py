"""The asynchronous client: one method per route, and streams that reconnect and resume."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from types import TracebackType
from typing import TypeVar

import httpx
from pydantic import JsonValue

from baud.sdk import calls
from baud.sdk.backoff import StreamPolicy
from baud.sdk.calls import Call
from baud.sdk.errors import ApiError, UnreachableError
from baud.sdk.event import Event
from baud.sdk.gateway_address import Gateways, request_headers
from baud.sdk.health import Health
from baud.sdk.responses import LONGEST_REFUSAL_BYTES, is_temporary
from baud.sdk.stream_request import StreamQuery
from baud.sdk.stream_session import StreamCounts, StreamSession
from shared.contract.api import (
    CancelResponse,
    ExecuteResponse,
    InitiateResponse,
    InputRequest,
    OnBusy,
    Page,
    WhyResponse,
)
from shared.contract.message import ChatMessage
from shared.contract.run import Decision, RunRecord
from shared.contract.thread import ThreadRecord

T = TypeVar("T")

# A stream holds its connection for hours: a limit would let the streams starve each other, and all requests.
_UNLIMITED = httpx.Limits(max_connections=None, max_keepalive_connections=20)


class AsyncBaud:
    """A Baud gateway, for asyncio. Use it as an async context manager, or call `close`.

    `base_url` is the gateway's address, or a list of gateways of the same Baud: when one does not answer,
    the next is used. `token` is sent as a bearer token, `timeout_seconds` bounds every wait except those of streams.
    Methods raise ApiError for what the gateway refuses, UnreachableError when none answers; requests that may be
    sent twice are retried a few times before. `stream_counts` counts the connections and duplicates of all streams.
    """

    def __init__(
        self,
        base_url: str | Sequence[str],
        *,
        token: str | None = None,
        timeout_seconds: float = 30.0,
        stream_policy: StreamPolicy | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._policy = stream_policy or StreamPolicy()
        self._stream_timeout = httpx.Timeout(timeout_seconds, read=self._policy.silence_seconds)
        self._gateways = Gateways(base_url)
        self._http = httpx.AsyncClient(
            headers=request_headers(token), timeout=timeout_seconds, limits=_UNLIMITED, transport=transport
        )
        self.stream_counts = StreamCounts()

    async def __aenter__(self) -> "AsyncBaud":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def health(self) -> Health:
        """Return the health of the gateway, Redis and the task queue."""
        return await self._send(calls.health())

    async def initiate(
        self, metadata: Mapping[str, JsonValue] | None = None, context: Mapping[str, JsonValue] | None = None
    ) -> InitiateResponse:
        """Make a thread; the agent is given `context` with the first task."""
        return await self._send(calls.initiate(metadata, context))

    async def execute(
        self,
        thread_id: str,
        task: str,
        *,
        context_data: Sequence[Mapping[str, JsonValue]] = (),
        parameters: Mapping[str, JsonValue] | None = None,
        on_busy: OnBusy | str = OnBusy.QUEUE,
        idempotency_key: str | None = None,
    ) -> ExecuteResponse:
        """Give the thread a task: a new run. The same `idempotency_key` on the same thread gives the same run."""
        return await self._send(
            calls.execute(
                thread_id,
                task,
                context_data=context_data,
                parameters=parameters,
                on_busy=on_busy,
                idempotency_key=idempotency_key,
            )
        )

    async def thread(self, thread_id: str) -> ThreadRecord:
        """Return the record of a thread."""
        return await self._send(calls.thread(thread_id))

    def threads(self, page_size: int = 50) -> AsyncIterator[ThreadRecord]:
        """Iterate over all threads, newest first; further pages are fetched as they are needed."""
        return self._pages(lambda cursor: calls.threads(cursor, page_size))

    def messages(self, thread_id: str, page_size: int = 100) -> AsyncIterator[ChatMessage]:
        """Iterate over the conversation."""
        return self._pages(lambda cursor: calls.messages(thread_id, cursor, page_size))

    def runs(self, thread_id: str, page_size: int = 50) -> AsyncIterator[RunRecord]:
        """Iterate over the runs of a thread, newest first."""
        return self._pages(lambda cursor: calls.runs(thread_id, cursor, page_size))

    async def run(self, thread_id: str, run_id: str) -> RunRecord:
        """Return the record of a run."""
        return await self._send(calls.run(thread_id, run_id))

    async def find_run(self, run_id: str) -> RunRecord:
        """Return the record of a run, which names its thread."""
        return await self._send(calls.find_run(run_id))

    async def cancel(self, thread_id: str, run_id: str) -> CancelResponse:
        """Ask a run to stop; harmless when it has ended. It is `processing` until its worker has stopped it."""
        return await self._send(calls.cancel(thread_id, run_id))

    async def why(self, thread_id: str, run_id: str) -> WhyResponse:
        """Return what a run is doing or waiting for, and what happens next by itself."""
        return await self._send(calls.why(thread_id, run_id))

    async def send_input(
        self,
        thread_id: str,
        run_id: str,
        answer: str = "",
        *,
        decision: Decision | None = None,
        arguments: dict[str, JsonValue] | None = None,
        call_id: str | None = None,
    ) -> None:
        """Answer a run that waits: a text to a question, a decision on a tool call, with other arguments if wanted."""
        body = InputRequest(answer=answer, decision=decision, arguments=arguments, call_id=call_id)
        await self._send(calls.send_input(thread_id, run_id, body))

    async def delete(self, thread_id: str) -> None:
        """Delete a thread with all its runs and events."""
        await self._send(calls.delete(thread_id))

    def stream(
        self,
        thread_id: str,
        last_id: str | None = None,
        *,
        types: Sequence[str] | None = None,
        deltas: bool = True,
        until_completion: bool = False,
        stay_when_idle: bool = False,
        include_system: bool = False,
    ) -> AsyncGenerator[Event, None]:
        """Iterate over all events of a thread after `last_id` (absent: from the start; `$`: from now on).

        `types` names the wanted event types; without `deltas` text deltas are left out. It
        ends when the gateway has seen nothing for a while and no run is active, unless `stay_when_idle`; with
        `until_completion` as soon as no run is active. With `$`, what happens while a connection is lost before the
        first event is not seen. Connections are handled as in `run_stream`.
        """
        return self._follow(
            StreamQuery(
                thread_id,
                last_id=last_id,
                types=types,
                deltas=deltas,
                until_completion=until_completion,
                stay_when_idle=stay_when_idle,
                include_system=include_system,
            )
        )

    def run_stream(
        self,
        thread_id: str,
        run_id: str,
        last_id: str | None = None,
        *,
        types: Sequence[str] | None = None,
        deltas: bool = True,
        include_system: bool = False,
    ) -> AsyncGenerator[Event, None]:
        """Iterate over the events of one run after `last_id`, up to its completion.

        A lost connection is opened again; no event is missed or yielded twice, and a Gap names what is no longer kept.
        Raises StreamLostError, which names the last id, when that fails for `longest_outage_seconds`.
        """
        return self._follow(
            StreamQuery(thread_id, run_id, last_id=last_id, types=types, deltas=deltas, include_system=include_system)
        )

    async def _follow(self, request: StreamQuery) -> AsyncGenerator[Event, None]:
        session = StreamSession(self._policy, request, gateway_count=len(self._gateways), counts=self.stream_counts)
        while session.is_open:
            gateway = self._gateways.current
            try:
                async with self._http.stream(
                    "GET",
                    gateway + request.path,
                    params=request.params,
                    headers=session.headers(),
                    timeout=self._stream_timeout,
                ) as response:
                    if session.begin(response.status_code, response.headers, await _refusal(response)):
                        async for chunk in response.aiter_bytes():
                            for event in session.feed(chunk):
                                yield event
                            if not session.wants_more:
                                break
                        session.closed()
            except httpx.RequestError as error:
                session.lost(error)
            if session.wants_other_gateway:
                self._gateways.leave(gateway)
            await self._prepare_next(session, request.thread_id)

    async def _prepare_next(self, session: StreamSession, thread_id: str) -> None:
        if session.asks_activity:
            try:
                record = await self.thread(thread_id)
            except (ApiError, UnreachableError) as error:
                if isinstance(error, ApiError) and not is_temporary(error.status):
                    raise
                session.lost(error)
            else:
                session.note_activity(is_active=record.active_run_id is not None)
        if session.is_open:
            await asyncio.sleep(session.pause_seconds)

    async def _pages(self, page_call: Callable[[str | None], Call[Page[T]]]) -> AsyncIterator[T]:
        cursor: str | None = None
        while True:
            page = await self._send(page_call(cursor))
            for item in page.items:
                yield item
            if (cursor := page.next_cursor) is None:
                return

    async def _send(self, call: Call[T]) -> T:
        tries = 0
        while True:
            tries += 1
            gateway = self._gateways.current
            try:
                response = await self._http.send(call.request(self._http, gateway))
            except httpx.TransportError as error:
                pause = call.pause_after(error, tries)
                if pause is None:
                    raise UnreachableError.at(gateway, error) from error
            else:
                pause = call.pause_after(response, tries)
                if pause is None:
                    return call.read(response)
            self._gateways.leave(gateway)
            await asyncio.sleep(pause)


async def _refusal(response: httpx.Response) -> bytes:
    """Return the body of a response that is not a stream, up to a size limit."""
    if response.status_code == 200:
        return b""
    return await anext(response.aiter_bytes(LONGEST_REFUSAL_BYTES), b"")
