"""Thread records and the list of all threads."""

import base64
import binascii
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pydantic import JsonValue

from shared.clock import SystemClock, isoformat
from shared.contract.api import Page
from shared.contract.message import ChatMessage
from shared.contract.run import RunJob
from shared.contract.thread import ThreadRecord
from shared.errors import InvalidCursorError, ThreadNotFoundError, UnreadableRecordError
from shared.ids import new_id
from shared.keys import OPEN_RUNS_INDEX, THREAD_INDEX, run_thread
from shared.store.connection import StoreConnection
from shared.store.hash_pages import read_hashes
from shared.store.leases import open_run_member
from shared.store.records import PART_BYTES, RawFields, flatten, salvage_record, show_message, to_fields
from shared.store.redis.errors import redis_errors
from shared.store.redis.scripts import Argument

# A thread is listed a moment before it is stored; only older entries without a record are stale.
_STALE_AFTER_MS: Final = 60_000
_MEMBER_DIGITS: Final = 15
_SCAN_COUNT: Final = 1_000  # entries of one step
# A worker that is offline for longer cannot tell a deleted thread from an expired one.
TOMBSTONE_SECONDS: Final = 30 * 86_400


@dataclass(frozen=True, slots=True)
class MessagePage:
    """A part of a conversation, and the position of the next message; None at the end."""

    messages: Sequence[ChatMessage]
    following: int | None


class ThreadStore:
    """Reads and writes threads. Every method raises StoreUnavailableError when Redis does not answer."""

    def __init__(self, connection: StoreConnection, *, ttl_seconds: int, clock: SystemClock | None = None) -> None:
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
        """Store a thread unless it exists; return the stored record."""
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
        stored = await self.get(thread_id)
        if _member(stored) != _member(record):
            with redis_errors():
                await self._connection.redis.zrem(THREAD_INDEX, _member(record))
        return stored

    async def get(self, thread_id: str) -> ThreadRecord:
        """Return the record, or raise ThreadNotFoundError."""
        with redis_errors():
            raw = await self._connection.redis.hgetall(self._connection.keys(thread_id).metadata)
        if not raw:
            raise ThreadNotFoundError
        return _salvage(thread_id, raw, created_ms=0)

    async def exists(self, thread_id: str) -> bool:
        """Whether there is such a thread."""
        with redis_errors():
            return bool(await self._connection.redis.exists(self._connection.keys(thread_id).metadata))

    async def active_run(self, thread_id: str) -> str | None:
        """Return the id of the run that is active now, if any."""
        with redis_errors():
            raw = await self._connection.redis.hget(self._connection.keys(thread_id).metadata, "active_run_id")
        return raw.decode(errors="replace") or None if raw else None

    async def newest(self, *, cursor: str | None, limit: int) -> Page[ThreadRecord]:
        """Return threads, newest first; raises InvalidCursorError."""
        upper = f"({_decode_cursor(cursor)}" if cursor else "+"
        with redis_errors():
            asked = await self._connection.redis.zrevrangebylex(THREAD_INDEX, upper, "-", 0, limit)
            metadata = [self._connection.keys(_thread_id(member)).metadata for member in asked]
            hashes = await read_hashes(self._connection.redis, metadata)
        members = asked[: len(hashes)]
        found = [
            _salvage(_thread_id(member), fields, created_ms=_created_ms(member)) if fields else None
            for member, fields in zip(members, hashes, strict=True)
        ]
        # An entry that does not match its record was left by an interrupted second creation.
        listed = {
            member: record
            for member, record in zip(members, found, strict=True)
            if record is not None and _member(record).encode() == member
        }
        await self._forget_stale([member for member in members if member not in listed])
        more = len(asked) == limit or len(members) < len(asked)
        return Page(items=tuple(listed.values()), next_cursor=_encode_cursor(members[-1]) if more else None)

    async def messages(self, thread_id: str, *, start: int, limit: int) -> MessagePage:
        """Return the conversation from position `start` (0 is the oldest); fewer of large messages."""
        keys = self._connection.keys(thread_id)
        arguments: list[Argument] = ["", start, limit, PART_BYTES]
        length, found = await self._connection.call("read_messages", [*keys.shared, keys.metadata], arguments)
        following = start + len(found)
        return MessagePage([show_message(item) for item in found], following if found and following < length else None)

    async def delete(self, thread_id: str) -> None:
        """Remove a thread with everything in it, whether it can be read or not, or raise ThreadNotFoundError."""
        keys = self._connection.keys(thread_id)
        if not await self.exists(thread_id):
            raise ThreadNotFoundError
        members = await self._find_members(thread_id)
        removal = new_id()
        with redis_errors():
            arguments: list[Argument] = [keys.run_prefix, removal, keys.channel, TOMBSTONE_SECONDS]
            deleting = [*keys.shared, keys.tombstone]
            run_ids = await self._connection.call("delete_thread", deleting, [*arguments, 1])
            while run_ids:
                await self._forget_runs(thread_id, [run_id.decode(errors="replace") for run_id in run_ids])
                run_ids = await self._connection.call("delete_thread", deleting, [*arguments, 0])
            if members:
                await self._connection.redis.zrem(THREAD_INDEX, *members)

    async def _forget_runs(self, thread_id: str, run_ids: Sequence[str]) -> None:
        """Remove the entries of runs outside of the thread's own keys; raises RedisError, OSError."""
        pipe = self._connection.redis.pipeline(transaction=False)
        for run_id in run_ids:
            pipe.unlink(run_thread(run_id))
            pipe.zrem(OPEN_RUNS_INDEX, open_run_member(RunJob(thread_id=thread_id, run_id=run_id)))
        await pipe.execute()

    async def _find_members(self, thread_id: str) -> list[str]:
        """Return the entries of a thread in the index; all of it is searched if the record is unreadable."""
        with suppress(UnreadableRecordError):
            record = await self.get(thread_id)
            if "created_at" not in (record.unreadable or ()):
                return [_member(record)]
        ending = f":{thread_id}".encode()
        with redis_errors():
            entries = self._connection.redis.zscan_iter(THREAD_INDEX, count=_SCAN_COUNT)
            return [member.decode() async for member, _ in entries if member.endswith(ending)]

    async def _forget_stale(self, members: list[bytes]) -> None:
        horizon = int(self._clock.now().timestamp() * 1000) - _STALE_AFTER_MS
        stale = [member for member in members if _created_ms(member) < horizon]
        if stale:
            with redis_errors():
                await self._connection.redis.zrem(THREAD_INDEX, *stale)


def _salvage(thread_id: str, fields: RawFields, *, created_ms: int) -> ThreadRecord:
    """Read what can be read of a record; `created_ms` is its time of creation by the index."""
    created_at = isoformat(datetime.fromtimestamp(created_ms / 1000, UTC))
    fields = dict(fields)
    is_dated = _is_time(fields.get(b"created_at", b""))
    if not is_dated:
        fields[b"created_at"] = created_at.encode()
    known = {"thread_id": thread_id, "created_at": created_at, "updated_at": created_at}
    record = salvage_record(ThreadRecord, fields, known)
    # Another id than that of its key would be listed as another thread, and delete it.
    unreadable = (*(record.unreadable or ()), *(() if is_dated else ("created_at",)))
    return record.model_copy(update={"thread_id": thread_id, "unreadable": unreadable or None})


def _is_time(text: bytes) -> bool:
    try:
        return datetime.fromisoformat(text.decode()).tzinfo is not None
    except ValueError:
        return False


def _member(record: ThreadRecord) -> str:
    """Return the entry of the index: entries sort by the creation of their threads."""
    milliseconds = int(datetime.fromisoformat(record.created_at).timestamp() * 1000)
    return f"{milliseconds:015d}:{record.thread_id}"


def _created_ms(member: bytes) -> int:
    text = member.partition(b":")[0]
    return int(text) if text.isdigit() and len(text) <= _MEMBER_DIGITS else 0


def _thread_id(member: bytes) -> str:
    return member.partition(b":")[2].decode(errors="replace")


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
