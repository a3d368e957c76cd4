"""Checks whether a client received a complete stream, against the log in Redis."""

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from redis.asyncio import Redis

from benchmarks.stream.cut_client import Seen
from shared.contract.event import ExecuteType
from shared.ids import parse_stream_id
from shared.keys import ThreadKeys


async def read_log(redis_url: str, thread_ids: Sequence[str]) -> list[list[Seen]]:
    """Return the current entries of the log of each thread."""
    async with Redis.from_url(redis_url) as redis:
        logs: list[Any] = [await redis.xrange(ThreadKeys(thread_id).stream) for thread_id in thread_ids]
    return [[Seen(entry_id.decode(), fields[b"data"].decode()) for entry_id, fields in log] for log in logs]


def find_fault(seen: Sequence[Seen], log: Sequence[Seen], *, drops_deltas: bool) -> str:
    """Return what is wrong with a client's view of a finished thread, or an empty text.

    Deltas may leave the log once their complete message is in it; received deltas must then be its beginning.
    """
    ids = [parse_stream_id(event.id) for event in seen]
    if any(later <= earlier for earlier, later in pairwise(ids)):
        return "an event was received twice or out of order"
    if not drops_deltas:
        return "" if list(seen) == list(log) else f"{len(seen)} events received, {len(log)} in the log, or some differ"
    if [event for event in seen if not _is_delta(event)] != [event for event in log if not _is_delta(event)]:
        return "the events other than deltas differ from the log"
    return _differing_text(seen)


def _is_delta(event: Seen) -> bool:
    return event.kind == ExecuteType.ASSISTANT_DELTA


def _differing_text(seen: Sequence[Seen]) -> str:
    texts: dict[str, str] = {}
    for event in seen:
        data = json.loads(event.data)
        if _is_delta(event):
            texts[data["uuid"]] = texts.get(data["uuid"], "") + data["execute_result"]["assistant_delta"]["text"]
        elif event.kind == ExecuteType.ASSISTANT_RESPONSE:
            complete = json.dumps(data["execute_result"], ensure_ascii=False)
            begun = json.dumps(texts.pop(data["uuid"], ""), ensure_ascii=False)[1:-1]
            if f'"{begun}' not in complete:
                return "the deltas are not the beginning of their message"
    return ""
