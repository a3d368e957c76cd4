"""A client whose connection is cut at random bytes again and again, and which resumes at any of several gateways."""

import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from baud.sdk.sse import FrameParser
from benchmarks.stream.reader import StreamConnection
from shared.contract.event import ExecuteType

_RETRY_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Seen:
    """One event with an id, as received by a client or as stored in the log."""

    id: str
    data: str

    @property
    def kind(self) -> str:
        """Its execute_type."""
        return str(json.loads(self.data)["execute_type"])


class CutClient:
    """Follows one thread until its run ends; `seen` is what arrived over all connections, in order."""

    def __init__(self, thread_id: str, urls: Sequence[str], rng: random.Random) -> None:
        self.thread_id = thread_id
        self.last_id = ""
        self.seen: list[Seen] = []
        self.cuts = 0
        self._urls = urls
        self._rng = rng
        self._parser = FrameParser()
        self._allowed = 0
        self._connection: StreamConnection | None = None
        self._is_over = False

    def begin(self) -> None:
        """Start a new connection."""
        self._parser = FrameParser()

    def take(self, chunk: bytes) -> None:
        """Take bytes up to the point at which this connection is cut."""
        part = chunk[: self._allowed]
        self._allowed -= len(part)
        for frame in self._parser.feed(part):
            if frame.id is not None and frame.data is not None:
                self.last_id = frame.id
                self.seen.append(Seen(frame.id, frame.data))
                self._is_over = self._is_over or f'"{ExecuteType.FLOW_COMPLETION}"' in frame.data
        if (self._is_over or len(part) < len(chunk)) and self._connection is not None:
            assert self._connection.transport is not None
            self._connection.transport.abort()

    async def follow(self, cuts: int, most_bytes: int) -> None:
        """Follow until the run is over; the first `cuts` connections are cut within `most_bytes`."""
        while not self._is_over:
            is_cut = self.cuts < cuts
            self._allowed = self._rng.randrange(1, most_bytes) if is_cut else 2**40
            try:
                await self._connect(self._rng.choice(self._urls))
            except (OSError, RuntimeError):
                await asyncio.sleep(_RETRY_SECONDS)
            self.cuts += is_cut

    async def _connect(self, url: str) -> None:
        parts = urlsplit(url)
        loop = asyncio.get_running_loop()
        assert parts.hostname is not None
        assert parts.port is not None
        self._connection = StreamConnection(self, parts.netloc)
        connection = self._connection
        await loop.create_connection(lambda: connection, parts.hostname, parts.port)
        try:
            await connection.opened
            await connection.closed
        finally:
            if connection.transport is not None:
                connection.transport.abort()
