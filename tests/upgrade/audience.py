"""Those who follow the runs of the story: clients over SSE, readers of the older interface, programs with an SDK."""

import asyncio
import json
import random
from collections.abc import Coroutine, Sequence
from typing import Any, Final
from uuid import uuid4

import httpx
from celery import Celery

from shared.keys import LEGACY_TASK
from tests.chaos.run_client import Followed, SeenText, ThreadClient
from tests.chaos.scripted_worker_model import Script
from tests.upgrade import sdk_reader
from tests.upgrade.person import Person
from tests.upgrade.stack import MixedStack
from tests.upgrade.stream_reader import Source, StreamReader
from tests.upgrade.version import Version
from tests.upgrade.witness import Witness

_LAST_SECONDS: Final = 60.0  # for all that is open once the story is over


class Audience:
    """Follows until `finish` says that nothing more will come."""

    def __init__(self, stack: MixedStack, http: httpx.AsyncClient, witness: Witness, chance: random.Random) -> None:
        self._stack = stack
        self._http = http
        self._witness = witness
        self._chance = chance
        self._tasks: list[asyncio.Task[None]] = []

    def person(self, url: str) -> Person:
        """Return somebody who uses one gateway."""
        return Person(self._http, url)

    def follow(self, run: Followed) -> None:
        """Have a client follow a run to its end, at whichever gateway is in use."""
        self._witness.runs.append(run)
        client = ThreadClient(self._http, self._stack.urls, self._chance, self._witness.refused)
        self._begin(client.follow([run]))

    def follow_thread(self, run: Followed, ends: int) -> None:
        """Have a client follow the thread of a run until so many runs have ended."""
        source = Source(f"/api/agent/{run.thread_id}/stream", ends)
        self._begin(StreamReader(self._http, self._stack.urls, self._chance, self._view(run, "client")).read(source))

    def follow_by_sdk(self, version: Version, run: Followed, ends: int, urls: Sequence[str]) -> None:
        """Have a program with a version's SDK follow the thread of a run until so many runs have ended."""
        self._begin(self._run_program(version, self._view(run, f"SDK of {version.label}"), ends, urls))

    def publish_legacy(self, script: Script) -> None:
        """Publish a task as programs of the older interface do, and follow its stream."""
        flow = publish_legacy(self._stack.redis_url, script)
        self._witness.legacy.append(flow)
        source = Source("/agent/event-stream", 1, {"flowUuid": flow.thread_id, "flowInputUuid": flow.run_id})
        self._begin(StreamReader(self._http, self._stack.urls, self._chance, flow).read(source))

    async def finish(self) -> None:
        """Return once everybody has seen the end, or nothing more is to be expected."""
        _, late = await asyncio.wait(self._tasks, timeout=_LAST_SECONDS)
        for task in late:
            task.cancel()
        for outcome in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                self._witness.refused.append(repr(outcome))

    def _view(self, run: Followed, reader: str) -> Followed:
        view = Followed(run.thread_id, "all runs", Script(f"{reader} of {run.script.name}", 0))
        self._witness.views.append(view)
        return view

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work))

    async def _run_program(self, version: Version, view: Followed, ends: int, urls: Sequence[str]) -> None:
        command = version.command(sdk_reader.__file__, version.sdk, view.thread_id, str(ends), *urls)
        environment = self._stack.environment(version)
        name = view.script.name.replace(" ", "-")
        with (self._stack.folder / f"{name}.log").open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                *command, env=environment, stdout=asyncio.subprocess.PIPE, stderr=errors, limit=2**20
            )
        assert process.stdout is not None
        try:
            async for line in process.stdout:
                _take_line(view, line)
            view.has_completed = await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


def publish_legacy(redis_url: str, script: Script) -> Followed:
    """Publish a task straight to the queue, as programs of the older interface do."""
    flow = Followed(str(uuid4()), str(uuid4()), script)
    message = {
        "flow_uuid": flow.thread_id,
        "flow_input_uuid": flow.run_id,
        "user_uuid": "user-1",
        "context_data": [{"type": "text", "content": script.as_task()}],
    }
    with Celery(broker=redis_url, set_as_current=False) as celery:
        celery.send_task(LEGACY_TASK, args=[json.dumps(message)])
    return flow


def _take_line(view: Followed, line: bytes) -> None:
    event = json.loads(line)
    view.seen.append(event["id"])
    if event["data"].get("execute_type") == "assistant_delta":
        # When the SDK connected is not known here: early enough for the check of text after its message to hold.
        view.text.append(SeenText(event["id"], json.dumps(event["data"], separators=(",", ":")), 0.0))
