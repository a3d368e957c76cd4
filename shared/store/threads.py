"""Thread records and the list of all threads."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pydantic import JsonValue, TypeAdapter, ValidationError
from redis.exceptions import ResponseError

from shared.clock import SystemClock, isoformat
from shared.contract.api import Page
from shared.contract.message import ChatMessage
from shared.contract.principal import DEFAULT_TENANT
from shared.contract.run import RunJob
from shared.contract.thread import ShareRole, ThreadOwner, ThreadRecord
from shared.errors import ThreadNotFoundError, TooManySharesError, UnreadableRecordError
from shared.ids import new_id
from shared.keys import OPEN_RUNS_INDEX, THREAD_INDEX, run_thread, user_index
from shared.store.connection import StoreConnection
from shared.store.hash_pages import read_hashes
from shared.store.leases import open_run_member
from shared.store.records import PART_BYTES, RawFields, flatten, salvage_record, show_message, to_fields
from shared.store.redis.errors import redis_errors
from shared.store.redis.scripts import Argument
from shared.store.thread_index import (
    ThreadIndex,
    created_ms,
    encode_cursor,
    indexes_of,
    member_of,
    thread_id_of,
)

# Each lists the thread in an index of its own, and every run on the thread renews them all.
_MAX_SHARES: Final = 50
_SHARES: Final = TypeAdapter(dict[str, ShareRole])
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
        self.index = ThreadIndex(connection, ttl_seconds=ttl_seconds, clock=self._clock)

    async def create(
        self,
        thread_id: str,
        *,
        metadata: dict[str, JsonValue] | None = None,
        context: dict[str, JsonValue] | None = None,
        tenant: str = DEFAULT_TENANT,
        owner: str = "",
    ) -> ThreadRecord:
        """Store a thread unless it exists; return the stored record."""
        now = self._clock.now()
        record = ThreadRecord(
            thread_id=thread_id,
            tenant=tenant,
            owner=owner,
            created_at=isoformat(now),
            updated_at=isoformat(now),
            metadata=metadata or {},
            context=context or {},
        )
        keys = self._connection.keys(thread_id)
        indexes = indexes_of(ThreadOwner(tenant, owner))
        await self.index.add(indexes, member_of(record))
        made = await self._connection.call(
            "create_thread", [*keys.shared, keys.tombstone], [self._ttl, *flatten(to_fields(record))]
        )
        if made:
            return record
        stored = await self.get(thread_id)
        if member_of(stored) != member_of(record):
            await self.index.remove(indexes, [member_of(record)])
        return stored

    async def get(self, thread_id: str) -> ThreadRecord:
        """Return the record, or raise ThreadNotFoundError."""
        with redis_errors():
            raw = await self._connection.redis.hgetall(self._connection.keys(thread_id).metadata)
        if not raw:
            raise ThreadNotFoundError
        return _salvage(thread_id, raw, created_at_ms=0)

    async def exists(self, thread_id: str) -> bool:
        """Whether there is such a thread."""
        with redis_errors():
            return bool(await self._connection.redis.exists(self._connection.keys(thread_id).metadata))

    async def owner_of(self, thread_id: str) -> ThreadOwner | None:
        """Return whose the thread is; None when there is none. What cannot be read belongs to the default tenant."""
        metadata = self._connection.keys(thread_id).metadata
        with redis_errors():
            pipe = self._connection.redis.pipeline(transaction=False)
            pipe.exists(metadata)
            pipe.hmget(metadata, ["tenant", "owner", "shares"])
            exists, found = await pipe.execute(raise_on_error=False)
            if isinstance(found, ResponseError) and "WRONGTYPE" in str(found):
                found = (None, None, None)
            for answer in (exists, found):
                if isinstance(answer, Exception):
                    raise answer
        tenant, user, shares = found
        return ThreadOwner(_text(tenant) or DEFAULT_TENANT, _text(user), _read_shares(shares)) if exists else None

    async def share(self, thread_id: str, user: str, role: ShareRole | None) -> ThreadRecord:
        """Share a thread with a user of its tenant, or no longer (None).

        Raises ThreadNotFoundError, TooManySharesError.
        """
        keys = self._connection.keys(thread_id)
        arguments: list[Argument] = [self._ttl, user, role or "", _MAX_SHARES]
        outcome = await self._connection.call("share_thread", keys.shared, arguments)
        if outcome == b"unknown":
            raise ThreadNotFoundError
        if outcome == b"full":
            raise TooManySharesError
        record = await self.get(thread_id)
        index = [user_index(record.tenant, user)]
        if user in record.shares or user == record.owner:
            await self.index.add(index, member_of(record))
        else:
            await self.index.remove(index, [member_of(record)])
        return record

    async def active_run(self, thread_id: str) -> str | None:
        """Return the id of the run that is active now, if any."""
        with redis_errors():
            raw = await self._connection.redis.hget(self._connection.keys(thread_id).metadata, "active_run_id")
        return raw.decode(errors="replace") or None if raw else None

    async def newest(
        self,
        *,
        cursor: str | None,
        limit: int,
        index: str = THREAD_INDEX,
        may_see: Callable[[ThreadRecord], bool] = lambda _: True,
    ) -> Page[ThreadRecord]:
        """Return the threads of an index, newest first; raises InvalidCursorError."""
        asked = await self.index.newest(index, cursor=cursor, limit=limit)
        with redis_errors():
            metadata = [self._connection.keys(thread_id_of(member)).metadata for member in asked.members]
            hashes = await read_hashes(self._connection.redis, metadata)
        members = asked.members[: len(hashes)]
        found = [
            _salvage(thread_id_of(member), fields, created_at_ms=created_ms(member)) if fields else None
            for member, fields in zip(members, hashes, strict=True)
        ]
        # An entry that does not match its record was left by an interrupted second creation.
        listed = {
            member: record
            for member, record in zip(members, found, strict=True)
            if record is not None and member_of(record).encode() == member
        }
        await self.index.remove_stale(index, [member for member in members if member not in listed])
        has_more = asked.is_full or len(members) < len(asked.members)
        return Page(
            items=tuple(record for record in listed.values() if may_see(record)),
            next_cursor=encode_cursor(members[-1]) if has_more else None,
        )

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
        owner = await self.owner_of(thread_id)
        members = await self._find_members(thread_id)
        removal = new_id()
        with redis_errors():
            arguments: list[Argument] = [keys.run_prefix, removal, keys.channel, TOMBSTONE_SECONDS]
            deleting = [*keys.shared, keys.tombstone]
            run_ids = await self._connection.call("delete_thread", deleting, [*arguments, 1])
            while run_ids:
                await self._forget_runs(thread_id, [run_id.decode(errors="replace") for run_id in run_ids])
                run_ids = await self._connection.call("delete_thread", deleting, [*arguments, 0])
        await self.index.remove(indexes_of(owner or ThreadOwner(DEFAULT_TENANT, "")), members)

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
                return [member_of(record)]
        return await self.index.members_of(thread_id)


def _text(raw: bytes | None) -> str:
    """Return a member as text; '' for one that is absent or cannot be read."""
    try:
        return raw.decode() if raw else ""
    except UnicodeDecodeError:
        return ""


def _read_shares(raw: bytes | None) -> dict[str, ShareRole]:
    """Return with whom a thread is shared; with nobody where that cannot be read."""
    try:
        return _SHARES.validate_json(raw) if raw else {}
    except ValidationError:
        return {}


def _salvage(thread_id: str, fields: RawFields, *, created_at_ms: int) -> ThreadRecord:
    """Read what can be read of a record; `created_at_ms` is its time of creation by the index."""
    created_at = isoformat(datetime.fromtimestamp(created_at_ms / 1000, UTC))
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
