# Made from async_client.py by scripts/make_sync_client.py: change that file, then run `make format`.
"""The synchronous client: one method per route, and streams that reconnect and resume."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from types import TracebackType

import httpx
from pydantic import JsonValue

from baud.sdk import calls
from baud.sdk.backoff import StreamPolicy
from baud.sdk.credential import ApiKey, Credential
from baud.sdk.event import Event
from baud.sdk.gateway_address import Gateways
from baud.sdk.health import Health
from baud.sdk.stream_request import StreamQuery
from baud.sdk.sync_sender import Sender
from shared.contract.api import (
    CancelResponse,
    ExecuteResponse,
    InitiateResponse,
    InputRequest,
    OnBusy,
    WhyResponse,
)
from shared.contract.message import ChatMessage
from shared.contract.run import Decision, RunRecord
from shared.contract.thread import ShareRole, ThreadRecord


class Baud:
    """A Baud gateway. Use it as a context manager, or call `close`.

    `base_url` is the gateway's address, or a list of gateways of the same Baud: when one does not answer, the next is
    used. `api_key` is an API key or a token, or a function that returns one, which is called before each
    request; absent: that of BAUD_API_KEY, empty: none. `timeout_seconds` bounds every wait except those of streams.
    Methods raise ApiError for what the gateway refuses, UnreachableError when none answers; requests that may be
    sent twice are retried a few times before. `stream_counts` counts the connections and duplicates of all streams.
    """

    def __init__(
        self,
        base_url: str | Sequence[str],
        *,
        api_key: ApiKey | None = None,
        timeout_seconds: float = 30.0,
        stream_policy: StreamPolicy | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._sender = Sender(
            Gateways(base_url),
            Credential(api_key),
            stream_policy or StreamPolicy(),
            timeout_seconds=timeout_seconds,
            transport=transport,
        )
        self.stream_counts = self._sender.stream_counts

    def __enter__(self) -> "Baud":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._sender.close()

    def health(self) -> Health:
        """Return the health of the gateway, Redis and the task queue."""
        return self._sender.send(calls.health())

    def initiate(
        self, metadata: Mapping[str, JsonValue] | None = None, context: Mapping[str, JsonValue] | None = None
    ) -> InitiateResponse:
        """Make a thread; the agent is given `context` with the first task."""
        return self._sender.send(calls.initiate(metadata, context))

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
        return self._sender.send(
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
        return self._sender.send(calls.thread(thread_id))

    def threads(self, page_size: int = 50) -> Iterator[ThreadRecord]:
        """Iterate over all threads, newest first; further pages are fetched as they are needed."""
        return self._sender.pages(lambda cursor: calls.threads(cursor, page_size))

    def messages(self, thread_id: str, page_size: int = 100) -> Iterator[ChatMessage]:
        """Iterate over the conversation."""
        return self._sender.pages(lambda cursor: calls.messages(thread_id, cursor, page_size))

    def runs(self, thread_id: str, page_size: int = 50) -> Iterator[RunRecord]:
        """Iterate over the runs of a thread, newest first."""
        return self._sender.pages(lambda cursor: calls.runs(thread_id, cursor, page_size))

    def run(self, thread_id: str, run_id: str) -> RunRecord:
        """Return the record of a run."""
        return self._sender.send(calls.run(thread_id, run_id))

    def find_run(self, run_id: str) -> RunRecord:
        """Return the record of a run, which names its thread."""
        return self._sender.send(calls.find_run(run_id))

    def cancel(self, thread_id: str, run_id: str) -> CancelResponse:
        """Ask a run to stop; harmless when it has ended. It is `processing` until its worker has stopped it."""
        return self._sender.send(calls.cancel(thread_id, run_id))

    def why(self, thread_id: str, run_id: str) -> WhyResponse:
        """Return what a run is doing or waiting for, and what happens next by itself."""
        return self._sender.send(calls.why(thread_id, run_id))

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
        self._sender.send(calls.send_input(thread_id, run_id, body))

    def share(self, thread_id: str, user: str, role: ShareRole | str = ShareRole.VIEWER) -> ThreadRecord:
        """Let another user of the tenant read the thread (viewer), or work on it as well (editor)."""
        return self._sender.send(calls.share(thread_id, user, role))

    def unshare(self, thread_id: str, user: str) -> ThreadRecord:
        """Share the thread with a user no longer; harmless when it was not shared."""
        return self._sender.send(calls.unshare(thread_id, user))

    def delete(self, thread_id: str) -> None:
        """Delete a thread with all its runs and events."""
        self._sender.send(calls.delete(thread_id))

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
        return self._sender.follow(
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
        return self._sender.follow(
            StreamQuery(thread_id, run_id, last_id=last_id, types=types, deltas=deltas, include_system=include_system)
        )
