"""One watched stream: how far its tail was read, who follows it, who has joined the tail."""

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Final, Protocol

from gateway.service.frame import Frame
from shared.ids import StreamId

START: Final = StreamId(0, 0)


class StreamEnd(Enum):
    """Why the gateway ends a stream that its client still follows."""

    UNAVAILABLE = "unavailable"  # Redis did not answer for too long
    SHUTDOWN = "shutdown"  # this gateway stops
    FAILED = "failed"  # a fault of the gateway
    LEFT = "left"  # the client went away


class Member(Protocol):
    """A follower, as its channel sees it; `cursor` is the last entry that was handed to its client."""

    cursor: StreamId

    def offer(self, frames: Sequence[Frame]) -> None:
        """Take frames of the tail."""

    def detach(self) -> None:
        """Leave the tail."""

    def end(self, reason: StreamEnd) -> None:
        """End the stream of this client."""


class Channel:
    """A stream as the tail reader sees it; `position` counts only while somebody has joined.

    `mark` tells the tail reader to read the stream soon.
    """

    def __init__(self, stream: str, bell: str, *, mark: Callable[["Channel"], None]) -> None:
        self.stream = stream
        self.bell = bell
        self.position = START
        self.followers: set[Member] = set()
        self.joined: set[Member] = set()
        self._mark = mark

    def deliver(self, issued_from: StreamId, frames: Sequence[Frame]) -> bool:
        """Hand on what was read behind `issued_from`; False when a newcomer needs an earlier start."""
        if issued_from > self.position:
            return False
        for follower in tuple(self.joined):
            follower.offer(frames)
        self.position = max(self.position, frames[-1].id)
        return True

    def join(self, follower: Member, *, seen_position: StreamId) -> bool:
        """Let a follower in whose page came short; False when the tail moved on since `seen_position`.

        The page was read after the tail had reached `seen_position`, so it would hold what stands up to there.
        """
        if not self.joined:
            self.position = follower.cursor
            self._mark(self)
        elif self.position > max(follower.cursor, seen_position):
            return False
        self.joined.add(follower)
        return True
