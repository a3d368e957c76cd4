"""Whether threads are stored, were deleted, or are absent: for what keeps data of threads outside of Redis."""

import hashlib
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from shared.keys import THREAD_INDEX
from shared.store.connection import StoreConnection
from shared.store.redis.errors import redis_errors

_BATCH: Final = 500  # threads asked for in one round trip


class Presence(StrEnum):
    """What Redis knows of a thread."""

    STORED = "stored"  # it has a record
    DELETED = "deleted"  # somebody deleted it
    ABSENT = "absent"  # it has expired, or never was, or this is not the Redis that it was in


class ThreadPresence:
    """Asks for threads. Every method raises StoreUnavailableError when Redis does not answer."""

    def __init__(self, connection: StoreConnection) -> None:
        self._connection = connection

    async def inspect(self, thread_ids: Sequence[str]) -> list[Presence]:
        """Return what is known of each thread."""
        found: list[Presence] = []
        for start in range(0, len(thread_ids), _BATCH):
            pipe = self._connection.redis.pipeline(transaction=False)
            for thread_id in thread_ids[start : start + _BATCH]:
                keys = self._connection.keys(thread_id)
                pipe.exists(keys.metadata)
                pipe.exists(keys.tombstone)
            with redis_errors():
                answers = await pipe.execute()
            found += [_presence(*pair) for pair in zip(answers[::2], answers[1::2], strict=True)]
        return found

    async def identity(self) -> str:
        """Return what changes when Redis starts anew, fails over or is another one; empty if it has no threads."""
        with redis_errors():
            if not await self._connection.redis.exists(THREAD_INDEX):
                return ""
            run_ids = [(await redis.info("server"))["run_id"] for redis in await self._connection.servers()]
        return hashlib.sha256(" ".join(sorted(run_ids)).encode()).hexdigest()


def _presence(has_record: int, was_deleted: int) -> Presence:
    if has_record:
        return Presence.STORED
    return Presence.DELETED if was_deleted else Presence.ABSENT
