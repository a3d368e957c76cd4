"""A dedicated connection for reading new stream entries, one XREAD at a time, parsed without redis-py's overhead.

A gateway reads new entries some hundred times a second, a few streams at a time, and redis-py's path from the pool to
the parsed answer would be the larger part of the cost. So redis-py only opens the connection, with all options of the
URL.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import hiredis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

_READ_BYTES: Final = 262_144
# Id, and names and values in turns; None for an entry that was removed while it was read.
RawEntry = tuple[bytes, Sequence[bytes] | None]


class StreamReadConnection:
    """Reads new entries; opens its connection when it is first needed and after each failure."""

    def __init__(self, pool: Any) -> None:  # of redis-py, which leaves what we need of it untyped
        self._pool = pool
        self._timeout_seconds: float | None = pool.connection_kwargs.get("socket_timeout")
        self._lock = asyncio.Lock()
        self._connection: Any = None
        self._replies = hiredis.Reader(replyError=ResponseError)

    async def read(self, positions: Mapping[str, str], *, limit: int) -> Sequence[tuple[bytes, Sequence[RawEntry]]]:
        """Return each stream that has entries after its position; raises RedisError, OSError."""
        arguments: Any = ("XREAD", "COUNT", limit, "STREAMS", *positions, *positions.values())
        command = hiredis.pack_command(arguments)
        async with self._lock:
            try:
                reply = await self._exchange(command, is_first=self._connection is None)
            except (AttributeError, hiredis.HiredisError) as error:  # it was closed, and has no writer any more
                raise RedisConnectionError(str(error)) from error
        if isinstance(reply, Exception):
            raise reply
        return list(reply.items() if isinstance(reply, dict) else reply or ())  # RESP3 and RESP2

    async def _exchange(self, command: bytes, *, is_first: bool) -> Any:
        """Return the answer; a connection that was closed since its last use is replaced once."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._ask(command)
        except RedisConnectionError:
            await self._drop()
            if is_first:
                raise
        except BaseException:  # an answer that still arrives would be taken for the next one
            await self._drop()
            raise
        return await self._exchange(command, is_first=True)

    async def _ask(self, command: bytes) -> Any:
        if self._connection is None:
            self._connection = await self._pool.get_connection()
            self._replies = hiredis.Reader(replyError=ResponseError)
        self._connection._writer.write(command)
        while (reply := self._replies.gets()) is False:
            received = await self._connection._reader.read(_READ_BYTES)
            if not received:
                raise RedisConnectionError("Redis closed the stream read connection.")
            self._replies.feed(received)
        return reply

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)
            await self._pool.release(connection)
