"""Finds out that the thread of a watched stream was removed or has expired, and ends the stream.

A stream that is read and found empty is checked: DELETE notifies as an append does, and streams are read periodically.
"""

import asyncio
from collections.abc import Collection
from typing import Final, Protocol

from gateway.service.stream.topic import StreamEnd, StreamTopic
from shared.errors import StoreUnavailableError

# Most suspicions are wrong: an earlier read has often returned the entry that a notification is about.
_COLLECT_SECONDS: Final = 0.25
_AT_ONCE: Final = 256


class StreamRegistry(Protocol):
    """Knows which streams exist."""

    async def missing(self, streams: Collection[str]) -> set[str]:
        """Return those whose thread is gone; of a legacy stream, itself. Raises StoreUnavailableError."""


class RemovalCheck:
    """Checks suspected streams, many at once."""

    def __init__(self, registry: StreamRegistry) -> None:
        self._registry = registry
        self._suspected: dict[StreamTopic, None] = {}
        self._is_something_suspected = asyncio.Event()

    def suspect(self, topic: StreamTopic) -> None:
        """Check soon whether this stream still exists; one that never existed may come yet."""
        if topic.has_existed:
            self._suspected[topic] = None
            self._is_something_suspected.set()

    async def run(self) -> None:
        """Check until cancelled."""
        while True:
            await self._is_something_suspected.wait()
            await asyncio.sleep(_COLLECT_SECONDS)
            suspected = [topic for topic in self._suspected if topic.subscribers][:_AT_ONCE]
            if len(suspected) < _AT_ONCE:
                self._suspected.clear()
                self._is_something_suspected.clear()
            for topic in suspected:
                self._suspected.pop(topic, None)
            await self._check(suspected)

    async def _check(self, suspected: Collection[StreamTopic]) -> None:
        if not suspected:
            return
        try:
            missing = await self._registry.missing({topic.stream for topic in suspected})
        except StoreUnavailableError:
            return  # the next read of each stream suspects it again
        for topic in suspected:
            if topic.stream in missing:
                topic.end(StreamEnd.DELETED)
