"""One watched stream: how far its tail was read, who follows it, who has joined the tail."""

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Final, Protocol

from gateway.service.stream.types import Frame
from shared.ids import StreamId
from shared.keys import metadata_beside

START: Final = StreamId(0, 0)
_PAGE_ENTRIES: Final = 100
_LARGE_ENTRY_BYTES: Final = 65_536  # as the scripts see it
_FIRST_PAGE_ENTRIES: Final = 16  # before it is known how large the entries of a stream are


class StreamEnd(Enum):
    """Why the gateway ends a stream that its client still follows."""

    UNAVAILABLE = "unavailable"  # Redis did not answer for too long
    SHUTDOWN = "shutdown"  # this gateway stops
    FAILED = "failed"  # a fault of the gateway
    LEFT = "left"  # the client went away
    DELETED = "deleted"  # the thread was removed, or has expired


class TopicSubscriber(Protocol):
    """A follower, as its channel sees it; `cursor` is the last entry that was handed to its client."""

    cursor: StreamId

    @property
    def held_bytes(self) -> int:
        """What waits in this process for the client."""

    def offer(self, frames: Sequence[Frame]) -> None:
        """Take frames of the tail."""

    def detach(self) -> None:
        """Leave the tail."""

    def end(self, reason: StreamEnd) -> None:
        """End the stream of this client."""


class StreamTopic:
    """A stream as the tail reader sees it; `position` counts only while somebody has joined.

    `request_read` tells the tail reader to read the stream soon.
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
        self.large_to = START  # the newest entry that is known to be large; what ends there is read by bytes
        self.page_bytes = page_bytes
        self.request_read = request_read
        # A thread's stream is opened only if the thread exists; a legacy stream may be opened before its flow begins.
        self.has_existed = metadata_beside(stream) is not None

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
        """Hand on what was read behind `issued_from`; False when a newcomer needs an earlier start."""
        if issued_from > self.position:
            return False
        self.note_sizes(frames)
        self.has_existed = True
        for subscriber in tuple(self.live):
            subscriber.offer(frames)
        self.position = max(self.position, frames[-1].id)
        return True

    def join(self, subscriber: TopicSubscriber, *, seen_position: StreamId) -> bool:
        """Let a follower in whose page came short; False when the tail moved on since `seen_position`.

        The page was read after the tail had reached `seen_position`, so it would hold what stands up to there.
        """
        if self.live and self.position > max(subscriber.cursor, seen_position):
            return False
        if not self.live or subscriber.cursor < self.position:
            # Also when others have joined: one of them may have named an id that the log has not reached yet.
            self.position = subscriber.cursor
            self.request_read(self)
        self.live.add(subscriber)
        return True
