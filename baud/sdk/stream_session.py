"""The state of one stream over any number of connections: no I/O, so that both clients use it.

The client connects with `headers`, passes the response to `begin` and its bytes to `feed`, and calls `lost` or `closed`
when the connection ends; then it waits `pause_seconds` and connects again while `is_open`.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from baud.sdk.backoff import Backoff, StreamPolicy, may_pass
from baud.sdk.errors import AuthenticationError, BaudClientError, StreamError, UnreachableError
from baud.sdk.event import Event, Gap, read_event, stream_position
from baud.sdk.responses import UNAUTHORIZED, error_from, is_temporary, retry_after_seconds
from baud.sdk.sse import FrameParser, SseFrame
from baud.sdk.stream_request import StreamQuery

_QUIET = frozenset({"waiting", "keep_alive"})
_BAD_ENTRY = "bad_entry"  # about one entry of the log; the stream goes on after it
_IDLE = "timeout"
_SHUTDOWN = "shutdown"

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class StreamCounts:
    """Counters of all streams of one client: for metrics, and to find a gateway that sends events twice."""

    connections: int = 0
    duplicates: int = 0  # events received again and dropped


class StreamSession:
    """State of one stream. A run's stream ends at the completion of the run.

    With `until_completion` an orderly close may be the end, or only the connection's age: the client asks whether
    the thread has an active run while `asks_activity`. When it has none, one more connection reads the rest.
    With `can_refresh` each connection asks for a credential, so one that is refused or revoked is replaced once.
    """

    def __init__(
        self,
        policy: StreamPolicy,
        request: StreamQuery,
        *,
        gateway_count: int = 1,
        counts: StreamCounts | None = None,
        can_refresh: bool = False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.is_open = True
        self.pause_seconds = 0.0
        self.asks_activity = False
        self.wants_other_gateway = False
        self._request = request
        self._last_id = request.last_id or None
        self._counts = counts or StreamCounts()
        self._can_refresh = can_refresh
        self._was_refused = False
        self._backoff = Backoff(policy, gateway_count=gateway_count, now=now)
        self._is_last_pass = False
        self._was_connected = False
        self._has_progress = False
        self._leave = False
        self._end = ""
        self._gap: Event | None = None
        self._parser = FrameParser()

    def headers(self) -> dict[str, str]:
        """Return the request headers of the next connection."""
        # Uncompressed: a compressing proxy would buffer events.
        headers = {"Accept": "text/event-stream", "Accept-Encoding": "identity", "Cache-Control": "no-store"}
        return headers | ({"Last-Event-ID": self._last_id} if self._last_id else {})

    def begin(self, status: int, headers: Mapping[str, str], body: bytes) -> bool:
        """Take the response of a connection; return whether its body is to be fed.

        `body` is only read for statuses other than 200. Raises ApiError for a refusal that a retry would not change.
        """
        self._parser = FrameParser()
        self._has_progress = self._leave = self.wants_other_gateway = False
        self._end = "the gateway closed the connection"
        self._counts.connections += 1
        if status == 200:
            return self._begin_stream(headers.get("content-type", ""))
        if status == 204:
            self.is_open = False
        elif is_temporary(status):
            self._fail(f"the gateway answered {status}", at_least=retry_after_seconds(headers))
        elif status == UNAUTHORIZED and self._can_refresh and not self._was_refused:
            self._was_refused = True
            self.pause_seconds = 0.0
        else:
            raise error_from(status, body)
        return False

    def _begin_stream(self, content_type: str) -> bool:
        if content_type.lower().startswith("text/event-stream"):
            self._was_connected = True
            self._was_refused = False
            return True
        what = f"the response is not an event stream but {content_type or 'of no type'}"
        if not self._was_connected:
            raise BaudClientError(f"{what}; is this the address of a Baud gateway?")
        self._fail(what)  # a stream was there before: this is a proxy's page while the gateway is away
        return False

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Yield the events that this chunk completes; check `wants_more` before the next chunk."""
        for frame in self._parser.feed(chunk):
            if frame.retry_milliseconds is not None:
                self._backoff.start_with(frame.retry_milliseconds / 1000)
            if frame.data is None:
                continue
            yield from self._system_event(frame) if frame.id is None else self._business_event(frame, frame.id)
            if not self.wants_more:
                return

    @property
    def wants_more(self) -> bool:
        """Whether this connection is to be read further."""
        return self.is_open and not self._leave

    def _system_event(self, frame: SseFrame) -> Iterator[Event]:
        event = read_event(frame)
        if event.event == "keep_alive":
            self._note_progress()
        ends_connection = event.event == "error" and event.data.get("error_type") != _BAD_ENTRY
        if isinstance(event, Gap) and event == self._gap:
            return  # the connection was lost right after it: the reader has it already
        self._gap = event if isinstance(event, Gap) else self._gap
        if self._request.include_system or not (ends_connection or event.event in _QUIET):
            yield event
        if ends_connection:
            self._take_error(event)

    def _take_error(self, event: Event) -> None:
        kind, status = str(event.data.get("error_type", "")), event.data.get("status")
        sentence = str(event.data.get("error", ""))
        self._end = f"the gateway ended the stream with {kind}: {sentence}"
        if kind == _IDLE:
            self._take_idle_timeout()
        elif status == UNAUTHORIZED:
            self._take_revocation(kind, sentence)
        elif isinstance(status, int) and not is_temporary(status):
            raise StreamError(kind, status, sentence)
        else:  # shutdown, unavailable, a fault: a new connection may meet another gateway, or a healthy one
            self._leave = self.wants_other_gateway = True
            # A gateway that shuts down after serving is no failure: connect to another at once.
            self._has_progress = self._has_progress and kind == _SHUTDOWN

    def _take_revocation(self, kind: str, sentence: str) -> None:
        if not self._can_refresh:
            raise AuthenticationError(UNAUTHORIZED, kind, sentence)
        self._leave = True

    def _take_idle_timeout(self) -> None:
        if self._request.stay_when_idle:
            self._leave = self._has_progress = True
        else:
            self.is_open = False

    def _business_event(self, frame: SseFrame, event_id: str) -> Iterator[Event]:
        self._note_progress()
        if self._was_seen(event_id):
            self._counts.duplicates += 1
            return
        self._last_id = event_id
        event = read_event(frame)
        run_id = self._request.run_id
        if run_id is not None and event.is_completion and event.data.get("run_id", run_id) == run_id:
            self.is_open = False
        yield event

    def _was_seen(self, event_id: str) -> bool:
        new, last = stream_position(event_id), stream_position(self._last_id or "")
        return new is not None and last is not None and new <= last

    def _note_progress(self) -> None:
        self._has_progress = True
        self._backoff.reset()

    def closed(self) -> None:
        """Note that the connection was closed in order, or left because of an `error` event."""
        if self._request.until_completion and not self._leave:
            self.is_open = self.is_open and not self._is_last_pass
            self.asks_activity = self.is_open
        else:
            self._pause_after_close()

    def note_activity(self, *, is_active: bool) -> None:
        """Take the answer to `asks_activity`."""
        self.asks_activity = False
        self._is_last_pass = not is_active
        if is_active:
            self._pause_after_close()
        else:
            self.pause_seconds = 0.0

    def _pause_after_close(self) -> None:
        if self._has_progress:
            self.pause_seconds = self._backoff.short_pause()
        elif self.is_open:
            self._fail(self._end)

    def lost(self, error: Exception) -> None:
        """Note that the connection failed, or the request for activity; the next connection repeats it.

        Raises UnreachableError when a retry would not help, StreamLostError when failures have lasted too long.
        """
        if not may_pass(error):
            raise UnreachableError(f"the stream cannot be requested: {error}") from error
        self.asks_activity = False
        self._fail(f"{type(error).__name__}: {error}".rstrip(": "))

    def _fail(self, why: str, *, at_least: float = 0.0) -> None:
        self.wants_other_gateway = True
        self.pause_seconds = self._backoff.pause_after(why, last_id=self._last_id, at_least=at_least)
        if self._backoff.is_outage:  # a single lost connection is normal
            _log.warning("the stream is interrupted (%s); next try in %.1f s", why, self.pause_seconds)
