"""One client's event stream from its first item to its last: entries, keep-alives, and the reasons to close.

It knows nothing of the transport: an item is a frame of the log or a control event, and the sender encodes it.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Protocol, Self

from gateway.service.stream.event_filter import EventFilter
from gateway.service.stream.event_hub import EventHub
from gateway.service.stream.subscriber import Batch, MissingEvents, Subscriber
from gateway.service.stream.topic import StreamEnd
from gateway.service.stream.types import Burst, ControlEvent, Item, control_event_of, error_event
from shared.clock import isoformat
from shared.config import StreamConfig
from shared.errors import StoreUnavailableError
from shared.ids import StreamId

_SOONEST_RETRY_MS: Final = 100
_RETRY_SPREAD_MS: Final = 1400
_END_EVENTS: Final = {
    StreamEnd.SHUTDOWN: error_event("This server stops; connect again.", "shutdown", 503),
    StreamEnd.UNAVAILABLE: error_event("Redis does not answer; connect again later.", "unavailable", 503),
    StreamEnd.DELETED: error_event("The thread was removed or has expired: nothing more can come.", "deleted", 410),
    StreamEnd.REVOKED: error_event(
        "The credential of this stream is not valid any more; connect again with a new one.", "unauthenticated", 401
    ),
    StreamEnd.FAILED: error_event("The server met a fault; connect again.", "internal_error", 500),
}
_IDLE: Final = error_event("No run is active and nothing has happened for a while.", "timeout", 408)


class ActiveRunLookup(Protocol):
    """Knows which run of a thread is active."""

    async def active_run(self, thread_id: str) -> str | None:
        """Return its id, or None."""


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """What a client asked for. `has_ended`: its run had ended before the request."""

    thread_id: str
    stream: str
    channel: str
    cursor: StreamId
    until_completion: bool = False
    run_id: str | None = None
    has_ended: bool = False
    only: EventFilter | None = None

    def filtered(self, only: EventFilter | None) -> Self:
        """Return the request with a filter; a stream that closes at a run's end always gets that end."""
        if only is None:
            return self
        keeps_final = self.until_completion or self.run_id is not None
        return replace(self, only=replace(only, keeps_final=keeps_final))


# Calls what it is given, within the block, when the credential of the stream is not valid any more.
CredentialGuard = Callable[[Callable[[], None]], AbstractContextManager[None]]


def no_guard(_end: Callable[[], None]) -> AbstractContextManager[None]:
    """Guard a stream of nobody in particular."""
    return nullcontext()


class EventStreamSession:
    """Makes the items of one stream; `hub` delivers the entries, `runs` knows whether a run is active."""

    def __init__(
        self,
        hub: EventHub,
        runs: ActiveRunLookup,
        request: StreamRequest,
        config: StreamConfig,
        watching: CredentialGuard = no_guard,
    ) -> None:
        self._hub = hub
        self._runs = runs
        self._request = request
        self._config = config
        self._watching = watching
        self._now = asyncio.get_running_loop().time
        self._timer = hub.wheel.timer(self._on_time)
        self._subscriber: Subscriber | None = None
        self._opened_at = self._sent_at = self._event_at = self._now()
        self._has_begun = False  # whether the client has got an item, or `waiting`
        self._is_closing = False  # nothing more will be written; what is in the log by now is still sent
        self._has_left = False
        self._write: Callable[[Burst], bool] | None = None
        self._write_bytes = 0
        self.end: StreamEnd | None = None  # why the gateway ended it, if it did

    def write_directly(self, write: Callable[[Burst], bool], *, max_bytes: int) -> None:
        """Send small bursts by `write` as soon as they come; one that it returns False for goes through `items`."""
        self._write, self._write_bytes = write, max_bytes

    def send(self, burst: Burst) -> bool:
        """Send a burst by the direct way while `items` waits; False when that is not possible."""
        if self._write is None or burst.size > self._write_bytes or not self._write(burst):
            return False
        self._event_at = self._sent_at = self._now()
        self._has_begun = True
        return True

    def leave(self) -> None:
        """End the stream without an end event, because its client is gone."""
        self._has_left = True
        if self._subscriber is not None:
            self._subscriber.end(StreamEnd.LEFT)

    def _revoke(self) -> None:
        if self._subscriber is not None:
            self._subscriber.end(StreamEnd.REVOKED)

    async def items(self) -> AsyncGenerator[Sequence[Item], None]:
        """Yield bursts until the stream is over; the next is asked for once one is sent."""
        request = self._request
        try:
            subscription = self._hub.subscribe(
                request.stream, request.channel, request.cursor, run_id=request.run_id, only=request.only
            )
            with subscription as subscriber, self._watching(self._revoke):
                self._subscriber = subscriber
                subscriber.direct = self if self._write is not None else None
                while not self._has_left and self._now() < self._opened_at + self._config.max_duration:
                    self._timer.set(self._due_at())
                    batch = await subscriber.next()
                    for burst in self._bursts(batch):
                        yield burst
                        self._sent_at = self._now()
                        del burst
                    self.end = batch.end
                    if batch.end is not None or await self._is_over(subscriber, batch):
                        return
                    del batch  # a stream that waits holds nothing of what it has sent
                    if event := await self._timed_event():
                        yield (event,)
                        self._sent_at = self._now()
                        if event is _IDLE:
                            return
                    del event
        finally:
            self._timer.stop()

    def _due_at(self) -> float:
        """Return when something is due even if no entry comes."""
        return min(
            self._sent_at + self._config.keep_alive_interval,
            self._last_entry_at() + self._config.idle_timeout,
            self._opened_at + self._config.max_duration,
        )

    def _last_entry_at(self) -> float:
        """Return when the log last had an entry, whether the client wants it or not."""
        return self._event_at if self._subscriber is None else max(self._event_at, self._subscriber.passed_at)

    def _on_time(self) -> None:
        """Wake the subscriber if something is due; what was sent meanwhile may have moved the time."""
        due_at = self._due_at()
        if due_at > self._now():
            self._timer.set(due_at)
        elif self._subscriber is not None:
            self._subscriber.nudge()

    def _bursts(self, batch: Batch) -> Iterator[Sequence[Item]]:
        if batch.gap is not None:
            yield (_gap_event(batch.gap),)
        if batch.frames:
            self._event_at = self._now()
            self._has_begun = True
            yield batch.frames
        if batch.is_caught_up and not self._has_begun:
            self._has_begun = True
            yield (_time_event("waiting"),)
        if batch.end in _END_EVENTS:
            yield (_end_event(batch.end),)

    async def _timed_event(self) -> ControlEvent | None:
        """Return the keep-alive or idle time-out that is due, if any."""
        if await self._is_idle():
            return _IDLE
        is_due = self._now() >= self._sent_at + self._config.keep_alive_interval
        return _time_event("keep_alive") if is_due else None

    async def _is_over(self, subscriber: Subscriber, batch: Batch) -> bool:
        has_final = any(frame.is_final for frame in batch.frames)
        if self._is_closing and batch.is_caught_up and not batch.frames:
            return True
        if self._request.run_id is not None:
            if batch.is_caught_up and self._request.has_ended:
                self._is_closing = True
                subscriber.read_again()
            return has_final
        if self._request.until_completion and (has_final or batch.is_caught_up):
            await self._close_unless_active(subscriber)
        return False

    async def _close_unless_active(self, subscriber: Subscriber) -> None:
        is_active = await self._is_a_run_active()
        self._is_closing = is_active is False
        if self._is_closing:
            subscriber.read_again()
        elif is_active is None:
            await subscriber.read_again_later()  # nothing else would repeat the question

    async def _is_idle(self) -> bool:
        if self._now() - self._last_entry_at() < self._config.idle_timeout:
            return False
        if await self._is_a_run_active() is False:
            return True
        self._event_at = self._now()  # a run is active: check again after the same time
        return False

    async def _is_a_run_active(self) -> bool | None:
        """Return None if Redis does not answer."""
        try:
            return await self._runs.active_run(self._request.thread_id) is not None
        except StoreUnavailableError:
            return None


def _end_event(end: StreamEnd) -> ControlEvent:
    event = _END_EVENTS[end]
    if end is not StreamEnd.SHUTDOWN:
        return event
    # Spread out: all clients of this gateway reconnect to the others together.
    return replace(event, retry_ms=_SOONEST_RETRY_MS + secrets.randbelow(_RETRY_SPREAD_MS))


def _gap_event(gap: MissingEvents) -> ControlEvent:
    return control_event_of("gap", {"requested": str(gap.requested), "first_available": str(gap.first_available)})


def _time_event(event: str) -> ControlEvent:
    return control_event_of(event, {"time": isoformat(datetime.now(UTC))})
