"""One client's event stream from its first byte to its last: entries, signs of life, and the reasons to close."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from gateway.service.channel import StreamEnd
from gateway.service.event_hub import EventHub
from gateway.service.follower import Batch, Follower, Gap
from gateway.service.sse import RETRY, Frame, error_frame, system_frame, time_frame
from shared.contract.config import StreamConfig
from shared.errors import StoreUnavailableError
from shared.ids import StreamId

_CHUNK_BYTES: Final = 65_536  # frames are joined up to this size, so that a slow client holds little
_FAREWELLS: Final = {
    StreamEnd.SHUTDOWN: error_frame("This server stops; connect again.", "shutdown", 503),
    StreamEnd.UNAVAILABLE: error_frame("Redis does not answer; connect again later.", "unavailable", 503),
    StreamEnd.FAILED: error_frame("The server met a fault; connect again.", "internal_error", 500),
}
_IDLE: Final = error_frame("No run is active and nothing has happened for a while.", "timeout", 408)


class ActiveRuns(Protocol):
    """Knows which run of a thread is active."""

    async def active_run(self, thread_id: str) -> str | None:
        """Return its id, or None."""


@dataclass(frozen=True, slots=True)
class TailRequest:
    """What a client asked for. `has_ended`: the run that it follows had ended when it asked."""

    thread_id: str
    stream: str
    bell: str
    cursor: StreamId
    until_completion: bool = False
    run_id: str | None = None
    has_ended: bool = False


class Tail:
    """Makes the chunks of one stream; `hub` carries the entries, `runs` tells whether more can come."""

    def __init__(self, hub: EventHub, runs: ActiveRuns, request: TailRequest, config: StreamConfig) -> None:
        self._hub = hub
        self._runs = runs
        self._request = request
        self._config = config
        self._now = asyncio.get_running_loop().time
        self._opened_at = self._sent_at = self._event_at = self._now()
        self._is_greeted = False  # whether the client has got a frame, or knows that there is none yet
        self._is_leaving = False  # no run was active; what is in the log by now is still sent

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield whole frames until the stream is over."""
        request = self._request
        yield RETRY
        with self._hub.follow(request.stream, request.bell, request.cursor, run_id=request.run_id) as follower:
            while self._now() - self._opened_at < self._config.max_duration:
                batch = await follower.next(self._patience())
                for chunk in self._encode(batch):
                    yield chunk
                    self._sent_at = self._now()
                if batch.end is not None or await self._is_over(follower, batch):
                    return
                if await self._is_idle():
                    yield _IDLE
                    return
                if self._now() - self._sent_at >= self._config.keep_alive_interval:
                    yield time_frame("keep_alive")
                    self._sent_at = self._now()

    def _patience(self) -> float:
        """Return the seconds until something is due even if no entry comes."""
        due = min(
            self._sent_at + self._config.keep_alive_interval,
            self._event_at + self._config.idle_timeout,
            self._opened_at + self._config.max_duration,
        )
        return max(due - self._now(), 0.0)

    def _encode(self, batch: Batch) -> Iterator[bytes]:
        if batch.gap is not None:
            yield _gap_frame(batch.gap)
        if batch.frames:
            self._event_at = self._now()
            self._is_greeted = True
            yield from _join(batch.frames)
        if batch.is_caught_up and not self._is_greeted:
            self._is_greeted = True
            yield time_frame("waiting")
        if batch.end is not None:
            yield _FAREWELLS[batch.end]

    async def _is_over(self, follower: Follower, batch: Batch) -> bool:
        has_final = any(frame.is_final for frame in batch.frames)
        if self._request.run_id is not None:
            return has_final or (batch.is_caught_up and self._request.has_ended)
        if not self._request.until_completion:
            return False
        if self._is_leaving and batch.is_caught_up and not batch.frames:
            return True
        if has_final or batch.is_caught_up:
            self._is_leaving = await self._no_run_is_active()
            if self._is_leaving:
                follower.detach()
        return False

    async def _is_idle(self) -> bool:
        if self._now() - self._event_at < self._config.idle_timeout:
            return False
        if await self._no_run_is_active():
            return True
        self._event_at = self._now()  # the run still works: ask again after the same time
        return False

    async def _no_run_is_active(self) -> bool:
        try:
            return await self._runs.active_run(self._request.thread_id) is None
        except StoreUnavailableError:
            return False


def _gap_frame(gap: Gap) -> bytes:
    return system_frame("gap", {"requested": str(gap.requested), "first_available": str(gap.first_available)})


def _join(frames: Sequence[Frame]) -> Iterator[bytes]:
    waiting: list[bytes] = []
    size = 0
    for frame in frames:
        waiting.append(frame.payload)
        size += len(frame.payload)
        if size >= _CHUNK_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)
