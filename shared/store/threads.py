"""Thread records and the list of all threads."""

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from pydantic import JsonValue

from shared.clock import SystemClock, isoformat
from shared.contract.api import Page
from shared.contract.message import ChatMessage
from shared.contract.thread import ThreadRecord
from shared.errors import InvalidCursorError, ThreadNotFoundError
from shared.keys import THREAD_INDEX, run_thread
from shared.store.connection import Connection, redis_errors
from shared.store.records import flatten, from_fields, read_message, to_fields

# A thread is listed a moment before it is stored; only older entries without a record are stale.
_STALE_AFTER_MS: Final = 60_000
# A worker that is away for longer does not see that a thread was deleted, only that it is not there.
TOMBSTONE_SECONDS: Final = 30 * 86_400


class ThreadStore:
    """Reads and writes threads. Every method raises StoreUnavailableError when Redis does not answer."""

    def __init__(self, connection: Connection, *, ttl_seconds: int, clock: SystemClock | None = None) -> None:
        self._connection = connection
        self._ttl = ttl_seconds
        self._clock = clock or SystemClock()

    async def create(
        self,
        thread_id: str,
        *,
        metadata: dict[str, JsonValue] | None = None,
        context: dict[str, JsonValue] | None = None,
        owner: str = "",
    ) -> ThreadRecord:
        """Store a thread unless it is there already; return the record that stands."""
        now = self._clock.now()
        record = ThreadRecord(
            thread_id=thread_id,
            owner=owner,
            created_at=isoformat(now),
            updated_at=isoformat(now),
            metadata=metadata or {},
            context=context or {},
        )
        keys = self._connection.keys(thread_id)
        with redis_errors():
            pipe = self._connection.redis.pipeline(transaction=False)
            pipe.zadd(THREAD_INDEX, {_member(record): 0})
            pipe.expire(THREAD_INDEX, self._ttl)
            await pipe.execute()
        made = await self._connection.call(
            "create_thread", [*keys.shared, keys.tombstone], [self._ttl, *flatten(to_fields(record))]
        )
        if made:
            return record
        standing = await self.get(thread_id)
        if _member(standing) != _member(record):
            with redis_errors():
                await self._connection.redis.zrem(THREAD_INDEX, _member(record))
        return standing

    async def get(self, thread_id: str) -> ThreadRecord:
        """Return the record, or raise ThreadNotFoundError."""
        with redis_errors():
            raw = await self._connection.redis.hgetall(self._connection.keys(thread_id).metadata)
        record = _record(raw)
        if record is None:
            raise ThreadNotFoundError
        return record

    async def exists(self, thread_id: str) -> bool:
        """Whether there is such a thread."""
        with redis_errors():
            return bool(await self._connection.redis.exists(self._connection.keys(thread_id).metadata))

    async def active_run(self, thread_id: str) -> str | None:
        """Return the id of the run that is active now, if any."""
        with redis_errors():
            raw = await self._connection.redis.hget(self._connection.keys(thread_id).metadata, "active_run_id")
        return raw.decode() or None if raw else None

    async def newest(self, *, cursor: str | None, limit: int) -> Page[ThreadRecord]:
        """Return threads, newest first; raises InvalidCursorError."""
        upper = f"({_decode_cursor(cursor)}" if cursor else "+"
        with redis_errors():
            members = await self._connection.redis.zrevrangebylex(THREAD_INDEX, upper, "-", 0, limit)
            pipe = self._connection.redis.pipeline(transaction=False)
            for member in members:
                pipe.hgetall(self._connection.keys(_thread_id(member)).metadata)
            hashes = await pipe.execute() if members else []
        found = [_record(fields) for fields in hashes]
        # An entry that is not its record's own is what a second creation left when it was cut short.
        listed = {
            member: record
            for member, record in zip(members, found, strict=True)
            if record is not None and _member(record) == member.decode()
        }
        await self._forget_stale([member for member in members if member not in listed])
        more = len(members) == limit
        return Page(items=tuple(listed.values()), next_cursor=_encode_cursor(members[-1]) if more else None)

    async def messages(self, thread_id: str, *, start: int, limit: int) -> list[ChatMessage]:
        """Return the conversation from position `start` (0 is the oldest)."""
        with redis_errors():
            raw = await self._connection.redis.lrange(
                self._connection.keys(thread_id).messages, start, start + limit - 1
            )
        return [read_message(item) for item in raw]

    async def delete(self, thread_id: str) -> None:
        """Remove a thread with everything in it, or raise ThreadNotFoundError."""
        keys = self._connection.keys(thread_id)
        record = await self.get(thread_id)
        with redis_errors():
            run_ids = await self._connection.redis.lrange(keys.runs, 0, -1)
        await self._connection.call(
            "delete_thread", [*keys.shared, keys.tombstone], [keys.run_prefix, TOMBSTONE_SECONDS]
        )
        with redis_errors():
            pipe = self._connection.redis.pipeline(transaction=False)
            pipe.zrem(THREAD_INDEX, _member(record))
            for run_id in run_ids:
                pipe.unlink(run_thread(run_id.decode()))
            await pipe.execute()

    async def _forget_stale(self, members: list[bytes]) -> None:
        horizon = int(self._clock.now().timestamp() * 1000) - _STALE_AFTER_MS
        stale = [member for member in members if int(member.split(b":", 1)[0]) < horizon]
        if stale:
            with redis_errors():
                await self._connection.redis.zrem(THREAD_INDEX, *stale)


def _record(fields: Mapping[bytes, bytes]) -> ThreadRecord | None:
    if not fields:
        return None
    return from_fields(ThreadRecord, {name.decode(): value.decode() for name, value in fields.items()})


def _member(record: ThreadRecord) -> str:
    """Return the entry of the index: entries sort as their threads were made."""
    milliseconds = int(datetime.fromisoformat(record.created_at).timestamp() * 1000)
    return f"{milliseconds:015d}:{record.thread_id}"


def _thread_id(member: bytes) -> str:
    return member.split(b":", 1)[1].decode()


def _encode_cursor(member: bytes) -> str:
    return base64.urlsafe_b64encode(member).decode().rstrip("=")


def _decode_cursor(cursor: str) -> str:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, ValueError) as error:
        raise InvalidCursorError from error
    if ":" not in text:
        raise InvalidCursorError
    return text
