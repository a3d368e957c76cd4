"""Reading event streams: pages for catching up, new entries of many streams in one call."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from shared.contract.event import StreamEntry
from shared.errors import InvalidStreamIdError
from shared.ids import parse_stream_id
from shared.keys import metadata_beside
from shared.store.connection import StoreConnection
from shared.store.redis.errors import redis_errors
from shared.store.redis.stream_read_connection import RawEntry

# Named in bytes, a command's answer is left as Redis sends it: redis-py would make a dictionary of each entry.
_XRANGE: Final = b"XRANGE"
_WRITTEN: Final = (b"event", b"data", b"run_id", b"type")  # as the scripts write them; `final` may follow
# Fields of a thread's metadata in which the scripts record what was removed from the beginning of its log.
_LOSS_FIELDS: Final = ("log_first_id", "log_lost_to", "log_lost_text_to")
_CONVERTED_AT_ONCE: Final = 500  # entries, about a millisecond
_LARGE_TO: Final = "log_large_to"  # the newest entry that a script found large
# About ten times as expensive as XRANGE, so it is for logs with large entries only. KEYS[1] the stream.
# ARGV: from, how many at most, bytes after which the page ends. Returns {entries, 1 if it ended by its bytes}.
_READ_BY_BYTES: Final = """
local from, most, most_bytes = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local entries, bytes, batch, asked = {}, 0, {}, 0
repeat
  asked = math.min(4, most - #entries)
  batch = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', asked)
  for _, entry in ipairs(batch) do
    if bytes >= most_bytes then break end
    entries[#entries + 1], from = entry, '(' .. entry[1]
    for _, part in ipairs(entry[2]) do bytes = bytes + #part end
  end
until #batch < asked or #entries >= most or bytes >= most_bytes
return {entries, bytes >= most_bytes and 1 or 0}
"""


@dataclass(frozen=True, slots=True)
class EventPage:
    """Entries after a position, and the id of the oldest entry that is kept, read at the same moment.

    A reader that had seen everything up to `complete_after` misses only text that a complete message has superseded.
    `large_to` is the newest entry that is large, if that is known. A page that `is_cut` ended by its bytes.
    """

    entries: Sequence[StreamEntry]
    first_id: str | None
    complete_after: str | None
    large_to: str | None = None
    is_cut: bool = False


class EventStore:
    """Reads streams by key. Every method raises StoreUnavailableError when Redis does not answer."""

    def __init__(self, connection: StoreConnection) -> None:
        self._connection = connection
        self._redis = connection.redis

    async def page(self, stream: str, *, after: str, limit: int) -> list[StreamEntry]:
        """Return at most `limit` entries after the id `after`, oldest first."""
        with redis_errors():
            raw: Sequence[RawEntry] = await self._redis.execute_command(
                _XRANGE, stream, f"({after}", "+", "COUNT", limit
            )
        return [_entry(item) for item in raw]

    async def page_with_first(self, stream: str, *, after: str, limit: int, most_bytes: int = 0) -> EventPage:
        """Return what `page` does and the state of the log's beginning in one call, so that a gap can be detected.

        With `most_bytes` the page ends with the entry that passes it.
        """
        metadata = metadata_beside(stream)
        with redis_errors():
            pipe = self._redis.pipeline(transaction=True)
            if most_bytes:
                pipe.eval(_READ_BY_BYTES, 1, stream, f"({after}", limit, most_bytes)
            else:
                pipe.execute_command(_XRANGE, stream, f"({after}", "+", "COUNT", limit)
            pipe.execute_command(_XRANGE, stream, "-", "+", "COUNT", 1)
            if metadata is not None:
                pipe.hmget(metadata, *_LOSS_FIELDS, _LARGE_TO)
            found, oldest, *hashes = await pipe.execute()
        first_id = oldest[0][0].decode() if oldest else None
        *losses, large_to = hashes[0] if hashes else (None,)
        return EventPage(
            [_entry(item) for item in (found[0] if most_bytes else found)],
            first_id,
            _complete_after(first_id, *losses) if losses else first_id,
            large_to=large_to.decode(errors="replace") if large_to else None,
            is_cut=bool(most_bytes and found[1]),
        )

    async def read_after(self, positions: Mapping[str, str], *, limit: int) -> dict[str, list[StreamEntry]]:
        """Return the entries after each stream's position, at most `limit` each, without blocking."""
        with redis_errors():
            found = await self._connection.read_after(positions, limit=limit)
        entries: dict[str, list[StreamEntry]] = {}
        converted = 0
        for stream, items in found:
            entries[stream.decode()] = [_entry(item) for item in items]
            converted += len(items)
            if converted >= _CONVERTED_AT_ONCE:  # others wait for their turn of the event loop
                converted = 0
                await asyncio.sleep(0)
        return entries

    async def missing(self, streams: Collection[str]) -> set[str]:
        """Return the streams whose thread is gone; of a legacy stream, itself."""
        asked = tuple(streams)
        with redis_errors():
            pipe = self._redis.pipeline(transaction=False)
            for stream in asked:
                pipe.exists(metadata_beside(stream) or stream)
            found = await pipe.execute()
        return {stream for stream, exists in zip(asked, found, strict=True) if not exists}

    def node_of(self, stream: str) -> str:
        """Return the name of the server that has a stream; streams of one server are read together."""
        return self._connection.node_of(stream)

    async def first_id(self, stream: str) -> str | None:
        """Return the id of the oldest entry that is kept."""
        with redis_errors():
            raw: Sequence[RawEntry] = await self._redis.xrange(stream, count=1)
        return raw[0][0].decode() if raw else None

    async def last_id(self, stream: str) -> str:
        """Return the id of the newest entry, or `0-0`."""
        with redis_errors():
            raw: Sequence[RawEntry] = await self._redis.xrevrange(stream, count=1)
        return raw[0][0].decode() if raw else "0-0"

    async def exists(self, stream: str) -> bool:
        """Whether anything was written to this stream."""
        with redis_errors():
            return bool(await self._redis.exists(stream))


def _entry(item: RawEntry) -> StreamEntry:
    entry_id, fields = item[0].decode(), item[1] or ()
    if len(fields) >= 2 * len(_WRITTEN) and (fields[0], fields[2], fields[4], fields[6]) == _WRITTEN:
        return StreamEntry(
            entry_id,
            fields[1].decode(errors="replace"),
            fields[3],
            fields[5].decode(errors="replace"),
            len(fields) > 2 * len(_WRITTEN) and b"final" in fields[8::2],
            fields[7].decode(errors="replace"),
        )
    named = dict(zip(fields[::2], fields[1::2], strict=True))
    return StreamEntry(
        entry_id,
        named.get(b"event", b"").decode(errors="replace"),
        named.get(b"data", b""),
        named.get(b"run_id", b"").decode(errors="replace"),
        b"final" in named,
        named.get(b"type", b"").decode(errors="replace"),
    )


def _complete_after(
    first_id: str | None, recorded_first: bytes | None, lost_to: bytes | None, lost_text_to: bytes | None
) -> str | None:
    """Return the newest id that is missing, if what the scripts recorded matches the log's first id."""
    if first_id is None or recorded_first is None or recorded_first != first_id.encode():
        return first_id
    try:
        return str(max(parse_stream_id(lost.decode()) for lost in (lost_to, lost_text_to, b"0-0") if lost))
    except (InvalidStreamIdError, UnicodeDecodeError):  # the recorded ids are garbage
        return first_id
