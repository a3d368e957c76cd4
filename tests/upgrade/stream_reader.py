"""A client of one stream that comes and goes: each connection is left after a while and resumed at another gateway."""

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import httpx

from baud.sdk.sse import FrameParser
from tests.chaos.run_client import Followed, RefusedError, ThreadClient, pause_after, take_frame
from tests.chaos.scripted_worker_model import Script

_TRY_AGAIN_SECONDS: Final = 0.2
_LONGEST_VISIT: Final = 60  # events


@dataclass(frozen=True, slots=True)
class Source:
    """What is read: a route, its query, and how many runs end in it."""

    path: str
    ends: int
    query: Mapping[str, str] = field(default_factory=dict)


class StreamReader:
    """Reads a stream until so many runs have ended in it; `view` is what it saw.

    It names its last id in turns in the header and in the query.
    """

    def __init__(self, http: httpx.AsyncClient, urls: Sequence[str], chance: random.Random, view: Followed) -> None:
        self.view = view
        self._http = http
        self._urls = urls
        self._chance = chance
        self._ends = 0

    async def read(self, source: Source) -> None:
        """Return once all has come. Raises RefusedError."""
        url = ""
        while self._ends < source.ends:
            url = self._chance.choice([each for each in self._urls if each != url])
            try:
                await self._visit(source, url)
            except httpx.TransportError:
                await asyncio.sleep(_TRY_AGAIN_SECONDS)

    async def _visit(self, source: Source, url: str) -> None:
        headers, query = self._position()
        stays_for = self._chance.randint(1, _LONGEST_VISIT)
        self.view.connections.append(url)
        opened_at = time.time()
        params = {**source.query, **query}
        async with self._http.stream("GET", url + source.path, params=params, headers=headers) as answer:
            if answer.status_code != httpx.codes.OK:
                await pause_after(answer, source.path)
                return
            parser, begun_with = FrameParser(), len(self.view.seen)
            async for chunk in answer.aiter_raw():
                for frame in parser.feed(chunk):
                    self._ends += take_frame(self.view, frame, opened_at)
                if self._ends >= source.ends or len(self.view.seen) - begun_with >= stays_for:
                    return

    def _position(self) -> tuple[dict[str, str], dict[str, str]]:
        if not self.view.seen:
            return {}, {}
        last = self.view.seen[-1]
        return ({}, {"last_id": last}) if len(self.view.connections) % 2 else ({"Last-Event-ID": last}, {})


class WatchingClient(ThreadClient):
    """Follows each run of its thread, and beside it the stream of the thread; `views` takes what that showed."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        urls: Sequence[str],
        chance: random.Random,
        refused: list[str],
        *,
        views: list[Followed],
    ) -> None:
        super().__init__(http, urls, chance, refused)
        self._reader = StreamReader(http, urls, chance, Followed("", "all runs", Script("thread", 0)))
        self._views = views
        self._refused_here = refused

    async def follow(self, runs: Sequence[Followed]) -> None:
        """Return once all has come over both ways."""
        thread_id = runs[0].thread_id
        self._reader.view.thread_id = thread_id
        self._views.append(self._reader.view)
        await asyncio.gather(super().follow(runs), self._watch(thread_id, len(runs)))

    async def _watch(self, thread_id: str, runs: int) -> None:
        try:
            await self._reader.read(Source(f"/api/agent/{thread_id}/stream", ends=runs))
        except RefusedError as error:
            self._refused_here.append(str(error))
