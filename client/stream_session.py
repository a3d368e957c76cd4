"""One reader's way through a stream over any number of connections: no I/O, so that it serves both clients.

The shell connects with `headers`, tells `begin` what was answered, feeds the bytes, and tells `lost` or `closed` how
the connection ended; then it waits `pause_seconds` and connects again while `is_open`.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from client.errors import BaudClientError, StreamError, UnreachableError
from client.event import Event, read_event, stream_position
from client.responses import error_from, retry_after_seconds
from client.sse import Frame, FrameParser

_QUIET = frozenset({"waiting", "keep_alive"})
_BAD_ENTRY = "bad_entry"  # about one entry of the log; the stream goes on behind it
_TRY_AGAIN = frozenset({408, 429})
_GENTLE_PAUSE_SECONDS = 0.25  # after an orderly close: spreads clients, and nobody notices


@dataclass(frozen=True, slots=True)
class StreamPolicy:
    """How a stream is kept alive. The first pause is the server's once it has sent `retry:`."""

    first_pause_seconds: float = 1.0
    longest_pause_seconds: float = 30.0
    max_attempts: int | None = 10  # failed connections in a row before UnreachableError; None: never give up
    silence_seconds: float = 45.0  # three keep-alives missed: the connection is dead


class StreamSession:
    """State of one stream. With `run_id` it ends at that run's completion.

    With `until_completion` an orderly close may be the end, or only the connection's age: the shell is to ask whether
    the thread has an active run while `asks_activity`. When it has none, one more connection brings what was missed.
    """

    def __init__(
        self,
        policy: StreamPolicy,
        *,
        last_id: str | None = None,
        run_id: str | None = None,
        until_completion: bool = False,
        include_system: bool = False,
    ) -> None:
        self.is_open = True
        self.pause_seconds = 0.0
        self.asks_activity = False
        self._until_completion = until_completion
        self._is_last_pass = False
        self._policy = policy
        self._last_id = last_id or None
        self._run_id = run_id
        self._include_system = include_system
        self._first_pause = policy.first_pause_seconds
        self._failures = 0
        self._has_progress = False
        self._parser = FrameParser()
        self._leave = False

    def headers(self) -> dict[str, str]:
        """Return the request headers of the next connection."""
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        return headers | ({"Last-Event-ID": self._last_id} if self._last_id else {})

    def begin(self, status: int, headers: Mapping[str, str], body: bytes) -> bool:
        """Take the answer to a connection; return whether its body is to be fed.

        `body` is only read for answers other than 200. Raises ApiError for what a new try would not change.
        """
        self._parser = FrameParser()
        self._has_progress = self._leave = False
        if status == 200:
            if not headers.get("content-type", "").startswith("text/event-stream"):
                raise BaudClientError("the answer is no event stream; is this the address of a Baud gateway?")
            return True
        if status == 204:
            self.is_open = False
        elif status in _TRY_AGAIN or status >= 500:
            self._fail(f"the gateway answered {status}", at_least=retry_after_seconds(headers))
        else:
            raise error_from(status, body)
        return False

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Give the events that this chunk completes; ask `wants_more` before the next one."""
        for frame in self._parser.feed(chunk):
            if frame.retry_milliseconds is not None:
                self._first_pause = frame.retry_milliseconds / 1000
            if frame.data is None:
                continue
            yield from self._system_event(frame) if frame.id is None else self._business_event(frame, frame.id)
            if not self.wants_more:
                return

    @property
    def wants_more(self) -> bool:
        """Whether this connection is to be read further."""
        return self.is_open and not self._leave

    def _system_event(self, frame: Frame) -> Iterator[Event]:
        event = read_event(frame)
        if event.event == "keep_alive":
            self._note_progress()
        if event.event == "error" and event.data.get("error_type") != _BAD_ENTRY:
            self._take_error(event)
        elif self._include_system or event.event not in _QUIET:
            yield event

    def _take_error(self, event: Event) -> None:
        kind, status = str(event.data.get("error_type", "")), event.data.get("status")
        if kind == "timeout":
            self.is_open = False
        elif isinstance(status, int) and 400 <= status < 500:
            raise StreamError(kind, status, str(event.data.get("error", "")))
        else:  # shutdown, unavailable, a fault: a new connection may meet another gateway, or a healthy one
            self._has_progress = False
            self._leave = True

    def _business_event(self, frame: Frame, event_id: str) -> Iterator[Event]:
        self._note_progress()
        if self._was_seen(event_id):
            return
        self._last_id = event_id
        event = read_event(frame)
        if self._run_id is not None and event.is_completion and event.data.get("run_id", self._run_id) == self._run_id:
            self.is_open = False
        yield event

    def _was_seen(self, event_id: str) -> bool:
        new, last = stream_position(event_id), stream_position(self._last_id or "")
        return new is not None and last is not None and new <= last

    def _note_progress(self) -> None:
        self._has_progress = True
        self._failures = 0

    def closed(self) -> None:
        """Note that the connection ended in good order, or was left because of an `error` event."""
        if self._until_completion and not self._leave:
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
            self.pause_seconds = _jitter(0, min(_GENTLE_PAUSE_SECONDS, self._first_pause))
        elif self.is_open:
            self._fail("the gateway closed the connection")

    def lost(self, error: Exception) -> None:
        """Note that the connection failed; raises UnreachableError after too many failures in a row."""
        self._fail(f"{type(error).__name__}: {error}")

    def _fail(self, why: str, *, at_least: float = 0.0) -> None:
        self._failures += 1
        limit = self._policy.max_attempts
        if limit is not None and self._failures >= limit:
            raise UnreachableError(f"the stream could not be continued after {self._failures} tries; last: {why}")
        pause = self._first_pause * 2.0 ** min(self._failures - 1, 10)
        pause = min(pause, max(self._policy.longest_pause_seconds, self._first_pause))
        self.pause_seconds = max(at_least, _jitter(pause / 2, pause))


def _jitter(low: float, high: float) -> float:
    return random.uniform(low, high)  # noqa: S311 - spreads load, guards nothing
