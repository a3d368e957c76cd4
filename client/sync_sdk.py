"""The synchronous client: one method per route, and streams that go on over lost connections."""

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TypeVar

import httpx
from pydantic import JsonValue

from client import calls
from client.calls import Call
from client.errors import UnreachableError
from client.event import Event
from client.gateway_address import gateway_url, request_headers
from client.health import Health
from client.stream_session import StreamPolicy, StreamSession
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


class Baud:
    """A Baud gateway. Use it as a context manager, or call `close`.

    `base_url` is the gateway's address, `token` goes out as a bearer token, `timeout_seconds` bounds every wait of a
    request that is no stream. Methods raise ApiError for what the gateway refuses, UnreachableError when it does not
    answer; requests that may be sent twice are sent again a few times before.
    """

    def __init__(
        self,
        base_url: str,
        *,
        token: str | None = None,
        timeout_seconds: float = 30.0,
        stream_policy: StreamPolicy | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._policy = stream_policy or StreamPolicy()
        self._stream_timeout = httpx.Timeout(timeout_seconds, read=self._policy.silence_seconds)
        self._http = httpx.Client(
            base_url=gateway_url(base_url), headers=request_headers(token), timeout=timeout_seconds, transport=transport
        )

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
        """Return how the gateway and what it needs are."""
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
        said = InputRequest(answer=answer, decision=decision, arguments=arguments, call_id=call_id)
        self._send(calls.send_input(thread_id, run_id, said))

    def delete(self, thread_id: str) -> None:
        """Delete a thread with all its runs and events."""
        self._send(calls.delete(thread_id))

    def stream(
        self,
        thread_id: str,
        last_id: str | None = None,
        *,
        until_completion: bool = False,
        include_system: bool = False,
    ) -> Generator[Event, None, None]:
        """Iterate over all events of a thread after `last_id` (absent: from the start; `$`: from now on).

        A lost connection is made again; no event is missed or given twice. With `until_completion` it ends when no
        run is active. With `$`, what happens while a connection is lost before the first event is not seen.
        """
        session = StreamSession(
            self._policy, last_id=last_id, until_completion=until_completion, include_system=include_system
        )
        params = {"until": "completion"} if until_completion else {}
        return self._follow(session, thread_id, calls.stream_path(thread_id, None), params)

    def run_stream(
        self, thread_id: str, run_id: str, last_id: str | None = None, *, include_system: bool = False
    ) -> Generator[Event, None, None]:
        """Iterate over the events of one run after `last_id`, up to its completion."""
        session = StreamSession(self._policy, last_id=last_id, run_id=run_id, include_system=include_system)
        return self._follow(session, thread_id, calls.stream_path(thread_id, run_id), {})

    def _follow(
        self, session: StreamSession, thread_id: str, path: str, params: Mapping[str, str]
    ) -> Generator[Event, None, None]:
        while session.is_open:
            try:
                with self._http.stream(
                    "GET", path, params=params, headers=session.headers(), timeout=self._stream_timeout
                ) as response:
                    refusal = b"" if response.status_code == 200 else response.read()
                    if session.begin(response.status_code, response.headers, refusal):
                        for chunk in response.iter_bytes():
                            yield from session.feed(chunk)
                            if not session.wants_more:
                                break
                        session.closed()
            except httpx.RequestError as error:
                session.lost(error)
            self._prepare_next(session, thread_id)

    def _prepare_next(self, session: StreamSession, thread_id: str) -> None:
        if session.asks_activity:
            record = self.thread(thread_id)
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
            try:
                response = self._http.send(call.request(self._http))
            except httpx.TransportError as error:
                pause = call.pause_after(error, tries)
                if pause is None:
                    raise UnreachableError.at(self._http.base_url, error) from error
            else:
                pause = call.pause_after(response, tries)
                if pause is None:
                    return call.read(response)
            time.sleep(pause)
