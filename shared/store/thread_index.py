"""The lists of threads: of all, of a tenant, and of a user. Entries sort by the creation of their threads."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from shared.clock import SystemClock
from shared.contract.principal import DEFAULT_TENANT
from shared.contract.thread import ThreadOwner, ThreadRecord
from shared.errors import InvalidCursorError
from shared.keys import THREAD_INDEX, tenant_index, user_index
from shared.store.connection import StoreConnection
from shared.store.redis.errors import redis_errors

# A thread is listed a moment before it is stored; only older entries without a record are stale.
_STALE_AFTER_MS: Final = 60_000
_MEMBER_DIGITS: Final = 15
_SCAN_COUNT: Final = 1_000  # entries of one step
_ADOPTED_AT_ONCE: Final = 500  # threads asked for in one round trip


@dataclass(frozen=True, slots=True)
class IndexPage:
    """Entries of an index, newest first."""

    members: Sequence[bytes]
    is_full: bool  # there may be more


def indexes_of(owner: ThreadOwner) -> list[str]:
    """Return the indexes that list a thread."""
    indexes = [THREAD_INDEX, tenant_index(owner.tenant), *(user_index(owner.tenant, user) for user in owner.shares)]
    return [*indexes, user_index(owner.tenant, owner.user)] if owner.user else indexes


def member_of(record: ThreadRecord) -> str:
    """Return the entry of a thread."""
    milliseconds = int(datetime.fromisoformat(record.created_at).timestamp() * 1000)
    return f"{milliseconds:015d}:{record.thread_id}"


def created_ms(member: bytes) -> int:
    """Return when the thread of an entry was made, in milliseconds since the epoch; 0 for what is no entry."""
    text = member.partition(b":")[0]
    return int(text) if text.isdigit() and len(text) <= _MEMBER_DIGITS else 0


def thread_id_of(member: bytes) -> str:
    """Return the id of the thread of an entry."""
    return member.partition(b":")[2].decode(errors="replace")


class ThreadIndex:
    """Reads and writes the lists. Every method raises StoreUnavailableError when Redis does not answer."""

    def __init__(self, connection: StoreConnection, *, ttl_seconds: int, clock: SystemClock) -> None:
        self._connection = connection
        self._ttl = ttl_seconds
        self._clock = clock

    async def add(self, indexes: Sequence[str], member: str) -> None:
        """List a thread in these."""
        with redis_errors():
            pipe = self._connection.redis.pipeline(transaction=False)
            for index in indexes:
                pipe.zadd(index, {member: 0})
                pipe.expire(index, self._ttl)
            await pipe.execute()

    async def remove(self, indexes: Sequence[str], members: Sequence[str | bytes]) -> None:
        """Remove threads from these."""
        if not members:
            return
        with redis_errors():
            pipe = self._connection.redis.pipeline(transaction=False)
            for index in indexes:
                pipe.zrem(index, *members)
            await pipe.execute()

    async def newest(self, index: str, *, cursor: str | None, limit: int) -> IndexPage:
        """Return entries, newest first; raises InvalidCursorError."""
        upper = f"({_decode_cursor(cursor)}" if cursor else "+"
        with redis_errors():
            members = await self._connection.redis.zrevrangebylex(index, upper, "-", 0, limit)
        return IndexPage(members, len(members) == limit)

    async def remove_stale(self, index: str, members: Sequence[bytes]) -> None:
        """Remove those of these entries that are too old to be of a thread that is being made."""
        horizon = int(self._clock.now().timestamp() * 1000) - _STALE_AFTER_MS
        await self.remove([index], [member for member in members if created_ms(member) < horizon])

    async def members_of(self, thread_id: str) -> list[str]:
        """Return the entries of a thread whose record cannot be read: all of the index is searched."""
        ending = f":{thread_id}".encode()
        with redis_errors():
            entries = self._connection.redis.zscan_iter(THREAD_INDEX, count=_SCAN_COUNT)
            return [member.decode() async for member, _ in entries if member.endswith(ending)]

    async def adopt(self) -> int:
        """List threads of an earlier version, which have no tenant, under the default tenant; return how many."""
        adopted = 0
        batch: list[bytes] = []
        with redis_errors():
            async for member, _ in self._connection.redis.zscan_iter(THREAD_INDEX, count=_ADOPTED_AT_ONCE):
                batch.append(member)
                if len(batch) >= _ADOPTED_AT_ONCE:
                    adopted += await self._adopt(batch)
                    batch = []
            return adopted + await self._adopt(batch)

    async def _adopt(self, members: Sequence[bytes]) -> int:
        """Raises RedisError, OSError."""
        pipe = self._connection.redis.pipeline(transaction=False)
        for member in members:
            pipe.hget(self._connection.keys(thread_id_of(member)).metadata, "tenant")
        tenants = await pipe.execute(raise_on_error=False)
        ours = [member for member, tenant in zip(members, tenants, strict=True) if tenant is None]
        if not ours:
            return 0
        index = tenant_index(DEFAULT_TENANT)
        pipe = self._connection.redis.pipeline(transaction=False)
        pipe.zadd(index, dict.fromkeys(ours, 0))
        pipe.expire(index, self._ttl)
        return int((await pipe.execute())[0])


def encode_cursor(member: bytes) -> str:
    """Return the cursor of the entries after this one."""
    return base64.urlsafe_b64encode(member).decode().rstrip("=")


def _decode_cursor(cursor: str) -> str:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, ValueError) as error:
        raise InvalidCursorError from error
    if ":" not in text:
        raise InvalidCursorError
    return text
