"""Messages that were put aside: one list in Redis, newest first, bounded in number and in size."""

from typing import Final

from pydantic import ValidationError

from shared.contract.dead_letter import DeadLetter
from shared.ids import new_id
from shared.keys import DEAD_LETTERS
from shared.store.connection import StoreConnection
from shared.store.redis.errors import redis_errors

# Together at most 64 MB of Redis; the newest are kept.
MAX_LETTERS: Final = 1000
MAX_MESSAGE_BYTES: Final = 65_536


class DeadLetterStore:
    """Every method raises StoreUnavailableError when Redis does not answer."""

    def __init__(self, connection: StoreConnection) -> None:
        self._redis = connection.redis

    async def put(self, letter: DeadLetter) -> None:
        """Store a message; the oldest beyond the limit are removed."""
        with redis_errors():
            pipe = self._redis.pipeline(transaction=True)
            pipe.lpush(DEAD_LETTERS, letter.model_dump_json())
            pipe.ltrim(DEAD_LETTERS, 0, MAX_LETTERS - 1)
            await pipe.execute()

    async def list(self) -> list[DeadLetter]:
        """Return all messages that were put aside, newest first."""
        with redis_errors():
            found: list[bytes] = await self._redis.lrange(DEAD_LETTERS, 0, -1)
        return [letter for each in found if (letter := _read(each))]

    async def remove(self, letter: DeadLetter) -> bool:
        """Forget a message; False when it is gone already."""
        with redis_errors():
            found: list[bytes] = await self._redis.lrange(DEAD_LETTERS, 0, -1)
            same = [each for each in found if _read(each) == letter]
            return bool(same) and bool(await self._redis.lrem(DEAD_LETTERS, 0, same[0]))


def _read(raw: bytes) -> DeadLetter | None:
    try:
        return DeadLetter.model_validate_json(raw)
    except ValidationError:
        return None  # not written by us


def dead_letter(message: bytes, reason: str, *, at: str, worker: str, queue: str) -> DeadLetter:
    """Return what is kept of a message."""
    kept = message[:MAX_MESSAGE_BYTES].decode(errors="replace")
    return DeadLetter(
        id=new_id(),
        reason=reason,
        put_aside_at=at,
        worker=worker,
        queue=queue,
        size_bytes=len(message),
        message=kept,
        is_cut=len(message) > MAX_MESSAGE_BYTES,
    )
