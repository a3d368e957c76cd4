"""Many hashes in few round trips, bounded in bytes: what clients have stored may be large."""

from collections.abc import Sequence
from typing import Any, Final

from redis.exceptions import ResponseError

from shared.store.records import RawFields

# A page ends with the hash that passes this.
PAGE_BYTES: Final = 1_048_576
_FIRST_STEP: Final = 8  # before it is known how large they are
_MOST_PER_STEP: Final = 100


async def read_hashes(redis: Any, keys: Sequence[str]) -> list[RawFields]:
    """Return the hashes of these keys in order, fewer once they are a page; {} for one that is not there.

    A key that is not a hash counts as one without a readable field. Raises RedisError, OSError.
    """
    found: list[RawFields] = []
    size, step = 0, _FIRST_STEP
    while len(found) < len(keys) and size < PAGE_BYTES:
        pipe = redis.pipeline(transaction=False)
        for key in keys[len(found) : len(found) + step]:
            pipe.hgetall(key)
        for answer in await pipe.execute(raise_on_error=False):
            fields = _fields(answer)
            size += sum(map(len, fields.values()))
            found.append(fields)
        step = min(max((PAGE_BYTES - size) * len(found) // max(size, 1), 1), _MOST_PER_STEP)
    return found


def _fields(answer: Any) -> RawFields:
    if isinstance(answer, ResponseError) and "WRONGTYPE" in str(answer):
        return {b"": b""}
    if isinstance(answer, Exception):
        raise answer
    fields: RawFields = answer
    return fields
