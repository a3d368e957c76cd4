"""The client of one thread: posts tasks until they are taken, follows each to its end, and notes every id it saw."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from baud.sdk.sse import FrameParser, SseFrame
from shared.contract.event import TASK_EVENT
from shared.contract.run import RunStatus
from tests.chaos.scripted_worker_model import Script

_TRY_AGAIN_SECONDS: Final = 0.2
_REPEATED_SHARE: Final = 0.3  # of the tasks
# Beyond the gateway's keep-alive of one second: then it hangs.
TIME_LIMITS: Final = httpx.Timeout(5.0, connect=2.0, read=4.0)


class RefusedError(Exception):
    """A gateway answered a good request with something else than success or 503."""


@dataclass(frozen=True, slots=True)
class SeenText:
    """A piece of text as the client got it, over a connection that was opened at `opened_at` (seconds since 1970)."""

    id: str
    raw: str
    opened_at: float


@dataclass(slots=True)
class Followed:
    """One accepted run, and what its client saw of it.

    `posted_to` is the gateway that accepted it, `expected` how it should end.
    """

    thread_id: str
    run_id: str
    script: Script
    posted_to: str = ""
    expected: RunStatus = RunStatus.COMPLETED
    seen: list[str] = field(default_factory=list)
    text: list[SeenText] = field(default_factory=list)
    connections: list[str] = field(default_factory=list)  # the gateways, in order
    has_completed: bool = False


class ThreadClient:
    """Uses the gateways in turn, whichever answers; `refused` takes what was answered wrongly."""

    def __init__(self, http: httpx.AsyncClient, urls: Sequence[str], chance: random.Random, refused: list[str]) -> None:
        self._http = http
        self._urls = urls
        self._chance = chance
        self._refused = refused

    async def carry_out(self, scripts: Sequence[Script], known: list[Followed]) -> None:
        """Post all tasks at once, so that all but the first wait in the inbox, and follow them side by side.

        `known` takes each run as soon as it is accepted.
        """
        try:
            runs = await self._accepted(scripts, known)
        except RefusedError as error:
            self._refused.append(str(error))
            return
        await self.follow(runs)

    async def follow(self, runs: Sequence[Followed]) -> None:
        """Return once each of these runs has ended, of one thread."""
        await asyncio.gather(*(self._follow(run) for run in runs))

    async def _accepted(self, scripts: Sequence[Script], known: list[Followed]) -> list[Followed]:
        initiated, _ = await self._post("/api/agent/initiate", {})
        thread_id = str(initiated["thread_id"])
        runs = []
        for script in scripts:
            path = f"/api/agent/{thread_id}/execute"
            body, headers = {"task": script.as_task()}, {"Idempotency-Key": script.name}
            answer, url = await self._post(path, body, headers)
            if self._chance.random() < _REPEATED_SHARE:
                await self._post(path, body, headers)  # as if the answer had been lost
            runs.append(Followed(thread_id, str(answer["run_id"]), script, url))
            known.append(runs[-1])
        return runs

    async def _post(
        self, path: str, body: dict[str, str], headers: dict[str, str] | None = None
    ) -> tuple[dict[str, Any], str]:
        """Return what a gateway answered, and which."""
        while True:
            url = self._choose()
            try:
                answer = await self._http.post(url + path, json=body, headers=headers)
            except httpx.TransportError:
                await asyncio.sleep(_TRY_AGAIN_SECONDS)
                continue
            if answer.status_code == httpx.codes.OK:
                decoded: dict[str, Any] = answer.json()
                return decoded, url
            await pause_after(answer, path)

    async def _follow(self, run: Followed) -> None:
        url = self._choose()
        while not run.has_completed:
            try:
                await self._read(run, url)
            except httpx.TransportError:
                await asyncio.sleep(_TRY_AGAIN_SECONDS)
            except RefusedError as error:
                self._refused.append(str(error))
                return
            url = self._choose(other_than=url)

    async def _read(self, run: Followed, url: str) -> None:
        path = f"{url}/api/agent/{run.thread_id}/runs/{run.run_id}/stream"
        headers = {"Last-Event-ID": run.seen[-1]} if run.seen else {}
        run.connections.append(url)
        opened_at = time.time()
        async with self._http.stream("GET", path, headers=headers) as answer:
            if answer.status_code == httpx.codes.NO_CONTENT:
                run.has_completed = True
                return
            if answer.status_code != httpx.codes.OK:
                await pause_after(answer, path)
                return
            parser = FrameParser()
            async for chunk in answer.aiter_raw():
                for frame in parser.feed(chunk):
                    take_frame(run, frame, opened_at)

    def _choose(self, *, other_than: str = "") -> str:
        return self._chance.choice([url for url in self._urls if url != other_than])


async def pause_after(answer: httpx.Response, path: str) -> None:
    """Return when a request may be tried again. Raises RefusedError for one that is not to be."""
    if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
        raise RefusedError(f"{answer.status_code} for {path}")
    await asyncio.sleep(_TRY_AGAIN_SECONDS)


def take_frame(run: Followed, frame: SseFrame, opened_at: float) -> bool:
    """Note what a frame says of a run; return whether a run ended with it."""
    if frame.id is None or frame.event != TASK_EVENT:
        return False
    run.seen.append(frame.id)
    if frame.data is not None and '"execute_type":"assistant_delta"' in frame.data:
        run.text.append(SeenText(frame.id, frame.data, opened_at))
    if frame.data is None or '"execute_type":"flow_completion"' not in frame.data:
        return False
    run.has_completed = True
    return True
