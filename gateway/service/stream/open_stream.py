"""Checks a stream request before the stream begins, and resolves the position at which it begins."""

from contextlib import suppress
from typing import Protocol

from gateway.service.stream.stream_session import ActiveRunLookup, StreamRequest
from gateway.service.stream.topic import START
from shared.contract.run import RunRecord
from shared.errors import InvalidStreamIdError, RunNotFoundError, ThreadNotFoundError
from shared.ids import LAST_STREAM_ID, StreamId, parse_stream_id
from shared.keys import ThreadKeys

FROM_NOW_ON = "$"


class ThreadLookup(Protocol):
    """Knows which threads exist."""

    async def exists(self, thread_id: str) -> bool:
        """Whether the thread exists."""


class RunGetter(Protocol):
    """Knows runs."""

    async def get(self, thread_id: str, run_id: str) -> RunRecord:
        """Return a run, or raise RunNotFoundError."""


class RunFinder(Protocol):
    """Knows runs by their ids alone."""

    async def find(self, run_id: str) -> RunRecord:
        """Return a run, or raise RunNotFoundError."""


class Events(Protocol):
    """Knows where streams end."""

    async def last_id(self, stream: str) -> str:
        """Return the id of the newest entry, or `0-0`."""


async def open_thread_stream(
    threads: ThreadLookup, events: Events, keys: ThreadKeys, last_id: str, *, until_completion: bool
) -> StreamRequest:
    """Return the request for a thread's stream; raises ThreadNotFoundError, InvalidStreamIdError."""
    cursor = parse_last_id(last_id)
    if not await threads.exists(keys.thread_id):
        raise ThreadNotFoundError
    resolved = await _resolve(events, keys.stream, cursor)
    return StreamRequest(keys.thread_id, keys.stream, keys.channel, resolved, until_completion=until_completion)


async def open_run_stream(
    runs: RunGetter, events: Events, keys: ThreadKeys, run_id: str, *, last_id: str
) -> StreamRequest | None:
    """Return the request for a run's events; None when all were seen. Raises RunNotFoundError."""
    cursor = parse_last_id(last_id)
    resolved = await _resolve(events, keys.stream, cursor)
    run = await runs.get(keys.thread_id, run_id)  # after the position, so that an end between the two is not missed
    if run.completion_id is not None and resolved >= parse_stream_id(run.completion_id):
        return None
    return StreamRequest(
        keys.thread_id, keys.stream, keys.channel, resolved, run_id=run_id, has_ended=run.status.is_terminal
    )


class FlowRuns:
    """Knows the active run of the thread that executes a flow's input: the message may name a thread of its own."""

    def __init__(self, finder: RunFinder, runs: ActiveRunLookup, flow_input_uuid: str) -> None:
        self._finder = finder
        self._runs = runs
        self._flow_input_uuid = flow_input_uuid

    async def active_run(self, thread_id: str) -> str | None:
        """Return its id, or None; `thread_id`, the flow's, is used unless the input is found on another thread."""
        with suppress(RunNotFoundError):  # it may come yet
            thread_id = (await self._finder.find(self._flow_input_uuid)).thread_id
        return await self._runs.active_run(thread_id)


async def open_legacy_stream(events: Events, keys: ThreadKeys, flow_input_uuid: str, last_id: str) -> StreamRequest:
    """Return the request for a legacy stream, whether its flow exists yet or not."""
    stream = keys.legacy_stream(flow_input_uuid)
    cursor = parse_last_id(last_id)
    # Also with an id: Redis has to answer before the stream begins.
    newest = await _resolve(events, stream, None)
    return StreamRequest(keys.thread_id, stream, keys.channel, newest if cursor is None else cursor)


def parse_last_id(last_id: str) -> StreamId | None:
    """Read a position: nothing is the start, `$` (None) the end. Raises InvalidStreamIdError."""
    if last_id == FROM_NOW_ON:
        return None
    return _require_successor(parse_stream_id(last_id)) if last_id else START


async def _resolve(events: Events, stream: str, cursor: StreamId | None) -> StreamId:
    return _require_successor(parse_stream_id(await events.last_id(stream))) if cursor is None else cursor


def _require_successor(position: StreamId) -> StreamId:
    if position == LAST_STREAM_ID:  # no entry can come after it
        raise InvalidStreamIdError
    return position
