"""One watched stream: how far it was read, its subscribers, and which of them are live."""

from collections.abc import Callable, Sequence
from enum import Enum
from itertools import islice
from typing import Final, Protocol

from gateway.service.stream.types import Burst, Frame
from shared.ids import StreamId
from shared.keys import metadata_beside

START: Final = StreamId(0, 0)
_PAGE_ENTRIES: Final = 100
_LARGE_ENTRY_BYTES: Final = 65_536  # as the scripts see it
_FEW_READERS: Final = 4
_FIRST_PAGE_ENTRIES: Final = 16  # before it is known how large the entries of a stream are
_WRITTEN_AT_ONCE: Final = 256  # clients at most, so that other streams wait for few milliseconds


class StreamEnd(Enum):
    """Why the gateway ends a stream whose client is still connected."""

    UNAVAILABLE = "unavailable"  # Redis did not answer for too long
    SHUTDOWN = "shutdown"  # this gateway stops
    FAILED = "failed"  # an unexpected error in the gateway
    LEFT = "left"  # the client went away
    DELETED = "deleted"  # the thread was removed, or has expired
    REVOKED = "revoked"  # the client's credential has expired or was revoked


class TopicSubscriber(Protocol):
    """A subscriber, as its topic sees it; `cursor` is the last entry that was handed to its client."""

    cursor: StreamId

    @property
    def held_bytes(self) -> int:
        """The unsent bytes held in this process for the client."""

    def offer(self, burst: Burst, *, at_once: bool) -> None:
        """Take new frames; with `at_once` they may be written to the client before this returns."""

    def detach(self) -> None:
        """Be live no longer."""

    def end(self, reason: StreamEnd) -> None:
        """End the stream of this client."""


class StreamTopic:
    """A stream as its reader sees it; `position`, the last entry read, counts only while a subscriber is live.

    `request_read` asks the reader to read the stream soon.
    """

    def __init__(
        self, stream: str, channel: str, *, page_bytes: int, request_read: Callable[["StreamTopic"], None]
    ) -> None:
        self.stream = stream
        self.channel = channel
        self.position = START
        self.subscribers: set[TopicSubscriber] = set()
        self.live: set[TopicSubscriber] = set()
        self.page_entries = _FIRST_PAGE_ENTRIES
        self.large_to = START  # the newest entry known to be large; up to it, pages are limited by bytes
        self.page_bytes = page_bytes
        self.request_read = request_read
        # A thread's stream is opened only if the thread exists; a legacy stream may be opened before its flow begins.
        self.has_existed = metadata_beside(stream) is not None

    def is_little_read(self) -> bool:
        """Whether few clients catch up here; a crowd has the event loop busy, which live streams then wait for."""
        return len(self.subscribers) - len(self.live) <= _FEW_READERS

    def end(self, reason: StreamEnd) -> None:
        """End the streams of all clients."""
        for subscriber in self.subscribers:
            subscriber.end(reason)

    def note_sizes(self, frames: Sequence[Frame]) -> None:
        """Make the next pages so long that entries of this size fit into what a client may hold."""
        if frames:
            mean_bytes = sum(frame.size for frame in frames) // len(frames)
            self.page_entries = min(max(self.page_bytes // mean_bytes, 1), _PAGE_ENTRIES)
            large = (frame.id for frame in reversed(frames) if frame.size > _LARGE_ENTRY_BYTES)
            self.large_to = max(self.large_to, next(large, START))

    def deliver(self, issued_from: StreamId, frames: Sequence[Frame]) -> bool:
        """Deliver what was read after `issued_from`; False when a new subscriber needs an earlier start."""
        if issued_from > self.position:
            return False
        self.note_sizes(frames)
        self.has_existed = True
        burst, live = Burst(frames), tuple(self.live)
        for subscriber in islice(live, _WRITTEN_AT_ONCE):
            subscriber.offer(burst, at_once=True)
        for subscriber in islice(live, _WRITTEN_AT_ONCE, None):
            subscriber.offer(burst, at_once=False)
        self.position = max(self.position, frames[-1].id)
        return True

    def go_live(self, subscriber: TopicSubscriber, *, seen_position: StreamId) -> bool:
        """Make a subscriber live whose last page was short; False when the stream was read on since `seen_position`.

        The page was requested at `seen_position`, so it holds every entry up to there.
        """
        if self.live and self.position > max(subscriber.cursor, seen_position):
            return False
        if not self.live or subscriber.cursor < self.position:
            # Also when others are live: one of them may have named an id that the log has not reached yet.
            self.position = subscriber.cursor
            self.request_read(self)
        self.live.add(subscriber)
        return True
