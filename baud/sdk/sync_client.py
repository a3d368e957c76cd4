# Made from async_client.py by scripts/make_sync_client.py: change that file, then run `make format`.
"""The synchronous client: one method per route, and streams that reconnect and resume."""

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
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


class Baud:
    """A Baud gateway. Use it as a context manager, or call `close`.

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
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._policy = stream_policy or StreamPolicy()
        self._stream_timeout = httpx.Timeout(timeout_seconds, read=self._policy.silence_seconds)
        self._gateways = Gateways(base_url)
        self._http = httpx.Client(
            headers=request_headers(token), timeout=timeout_seconds, limits=_UNLIMITED, transport=transport
        )
        self.stream_counts = StreamCounts()

    def __enter__(self) -> "Baud":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def health(self) -> Health:
        """Return the health of the gateway, Redis and the task queue."""
        return self._send(calls.health())

    def initiate(
        self, metadata: Mapping[str, JsonValue] | None = None, context: Mapping[str, JsonValue] | None = None
    ) -> InitiateResponse:
        """Make a thread; the agent is given `context` with the first task."""
        return self._send(calls.initiate(metadata, context))

    def execute(
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
        return self._send(
            calls.execute(
                thread_id,
                task,
                context_data=context_data,
                parameters=parameters,
                on_busy=on_busy,
                idempotency_key=idempotency_key,
            )
        )

    def thread(self, thread_id: str) -> ThreadRecord:
        """Return the record of a thread."""
        return self._send(calls.thread(thread_id))

    def threads(self, page_size: int = 50) -> Iterator[ThreadRecord]:
        """Iterate over all threads, newest first; further pages are fetched as they are needed."""
        return self._pages(lambda cursor: calls.threads(cursor, page_size))

    def messages(self, thread_id: str, page_size: int = 100) -> Iterator[ChatMessage]:
        """Iterate over the conversation."""
        return self._pages(lambda cursor: calls.messages(thread_id, cursor, page_size))

    def runs(self, thread_id: str, page_size: int = 50) -> Iterator[RunRecord]:
        """Iterate over the runs of a thread, newest first."""
        return self._pages(lambda cursor: calls.runs(thread_id, cursor, page_size))

    def run(self, thread_id: str, run_id: str) -> RunRecord:
        """Return the record of a run."""
        return self._send(calls.run(thread_id, run_id))

    def find_run(self, run_id: str) -> RunRecord:
        """Return the record of a run, which names its thread."""
        return self._send(calls.find_run(run_id))

    def cancel(self, thread_id: str, run_id: str) -> CancelResponse:
        """Ask a run to stop; harmless when it has ended. It is `processing` until its worker has stopped it."""
        return self._send(calls.cancel(thread_id, run_id))

    def why(self, thread_id: str, run_id: str) -> WhyResponse:
        """Return what a run is doing or waiting for, and what happens next by itself."""
        return self._send(calls.why(thread_id, run_id))

    def send_input(
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
        self._send(calls.send_input(thread_id, run_id, body))

    def delete(self, thread_id: str) -> None:
        """Delete a thread with all its runs and events."""
        self._send(calls.delete(thread_id))

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
    ) -> Generator[Event, None, None]:
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
    ) -> Generator[Event, None, None]:
        """Iterate over the events of one run after `last_id`, up to its completion.

        A lost connection is opened again; no event is missed or yielded twice, and a Gap names what is no longer kept.
        Raises StreamLostError, which names the last id, when that fails for `longest_outage_seconds`.
        """
        return self._follow(
            StreamQuery(thread_id, run_id, last_id=last_id, types=types, deltas=deltas, include_system=include_system)
        )

    def _follow(self, request: StreamQuery) -> Generator[Event, None, None]:
        session = StreamSession(self._policy, request, gateway_count=len(self._gateways), counts=self.stream_counts)
        while session.is_open:
            gateway = self._gateways.current
            try:
                with self._http.stream(
                    "GET",
                    gateway + request.path,
                    params=request.params,
                    headers=session.headers(),
                    timeout=self._stream_timeout,
                ) as response:
                    if session.begin(response.status_code, response.headers, _refusal(response)):
                        for chunk in response.iter_bytes():
                            yield from session.feed(chunk)
                            if not session.wants_more:
                                break
                        session.closed()
            except httpx.RequestError as error:
                session.lost(error)
            if session.wants_other_gateway:
                self._gateways.leave(gateway)
            self._prepare_next(session, request.thread_id)

    def _prepare_next(self, session: StreamSession, thread_id: str) -> None:
        if session.asks_activity:
            try:
                record = self.thread(thread_id)
            except (ApiError, UnreachableError) as error:
                if isinstance(error, ApiError) and not is_temporary(error.status):
                    raise
                session.lost(error)
            else:
                session.note_activity(is_active=record.active_run_id is not None)
        if session.is_open:
            time.sleep(session.pause_seconds)

    def _pages(self, page_call: Callable[[str | None], Call[Page[T]]]) -> Iterator[T]:
        cursor: str | None = None
        while True:
            page = self._send(page_call(cursor))
            yield from page.items
            if (cursor := page.next_cursor) is None:
                return

    def _send(self, call: Call[T]) -> T:
        tries = 0
        while True:
            tries += 1
            gateway = self._gateways.current
            try:
                response = self._http.send(call.request(self._http, gateway))
            except httpx.TransportError as error:
                pause = call.pause_after(error, tries)
                if pause is None:
                    raise UnreachableError.at(gateway, error) from error
            else:
                pause = call.pause_after(response, tries)
                if pause is None:
                    return call.read(response)
            self._gateways.leave(gateway)
            time.sleep(pause)


def _refusal(response: httpx.Response) -> bytes:
    """Return the body of a response that is not a stream, up to a size limit."""
    if response.status_code == 200:
        return b""
    return next(response.iter_bytes(LONGEST_REFUSAL_BYTES), b"")
