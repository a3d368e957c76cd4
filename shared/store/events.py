"""Reading event streams: pages for catching up, many tails in one call. Reading changes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.contract.event import StreamEntry
from shared.store.connection import Connection, redis_errors

RawEntry = tuple[bytes, dict[bytes, bytes] | None]


@dataclass(frozen=True, slots=True)
class Page:
    """Entries behind a position, and the id of the oldest entry that is kept, as of the same moment."""

    entries: Sequence[StreamEntry]
    first_id: str | None


class EventStore:
    """Reads streams by key. Every method raises StoreUnavailableError when Redis does not answer."""

    def __init__(self, connection: Connection) -> None:
        self._redis = connection.redis

    async def page(self, stream: str, *, after: str, limit: int) -> list[StreamEntry]:
        """Return at most `limit` entries behind the id `after` (exclusive), oldest first."""
        with redis_errors():
            raw: Sequence[RawEntry] = await self._redis.xrange(stream, min=f"({after}", max="+", count=limit)
        return [_entry(item) for item in raw]

    async def page_with_first(self, stream: str, *, after: str, limit: int) -> Page:
        """Return what `page` does and the oldest id in one call, so that a gap between the two can be seen."""
        with redis_errors():
            pipe = self._redis.pipeline(transaction=True)
            pipe.xrange(stream, min=f"({after}", max="+", count=limit)
            pipe.xrange(stream, count=1)
            raw, oldest = await pipe.execute()
        return Page([_entry(item) for item in raw], oldest[0][0].decode() if oldest else None)

    async def tails(self, positions: Mapping[str, str], *, limit: int) -> dict[str, list[StreamEntry]]:
        """Return what stands behind each stream's position, at most `limit` each, without blocking."""
        with redis_errors():
            raw = await self._redis.xread(dict(positions), count=limit)
        return {name.decode(): [_entry(item) for item in items] for name, items in _pairs(raw)}

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
    entry_id, fields = item
    fields = fields or {}
    return StreamEntry(
        id=entry_id.decode(),
        event=fields.get(b"event", b"").decode(errors="replace"),
        data=fields.get(b"data", b""),
        run_id=fields.get(b"run_id", b"").decode(errors="replace"),
        is_final=b"final" in fields,
        type=fields.get(b"type", b"").decode(errors="replace"),
    )


def _pairs(raw: object) -> list[tuple[bytes, Sequence[RawEntry]]]:
    if isinstance(raw, dict):  # RESP3 answers with a map of stream to [entries]
        return [(name, lists[0]) for name, lists in raw.items()]
    return list(raw) if isinstance(raw, list) else []
