"""The connection to one Redis server, or to the master that Sentinels name."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from shared.config import RedisConfig
from shared.errors import UnreadableRecordError
from shared.keys import ThreadKeys
from shared.store.redis.errors import redis_errors
from shared.store.redis.master_pool import open_pool
from shared.store.redis.notifications import Notifications
from shared.store.redis.round_trips import SharedRoundTrips
from shared.store.redis.scripts import Argument, ScriptCall, load_scripts, read_scripts
from shared.store.redis.stream_read_connection import RawEntry, StreamReadConnection

# Every script may be sent twice without a second effect, so a lost answer may be asked for again.
RETRIES: Final = 3

_PUBLISH_COMMAND: Final = "PUBLISH"


def open_redis(config: RedisConfig, *, retries: int = RETRIES) -> Redis:
    """Return a client with its own pool; nothing is connected before the first command. The caller closes it.

    A command that finds every connection in use waits for one.
    """
    return Redis.from_pool(open_pool(config, retries=retries))


def _one_of(answer: list[Any] | BaseException) -> Any:
    if isinstance(answer, UnreadableRecordError):
        return answer
    if isinstance(answer, BaseException):
        raise answer
    return answer[0]


class Connection:
    """One process's Redis client with its scripts; the stores share it, as a StoreConnection."""

    def __init__(self, redis: Any) -> None:  # a Redis, or what has its methods
        # redis-py types every answer as bytes or str; what comes here is always bytes.
        self.redis = redis
        self._round_trips = SharedRoundTrips(self._exchange)
        self._stream_read_connection: StreamReadConnection | None = None
        self._scripts = read_scripts(_PUBLISH_COMMAND)

    def keys(self, thread_id: str) -> ThreadKeys:
        """Return the key names of a thread."""
        return ThreadKeys(thread_id)

    async def call(self, script: str, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """Run a script of ours; raises StoreUnavailableError."""
        return (await self.call_many([ScriptCall(script, keys, arguments)]))[0]

    async def call_many(self, calls: Sequence[ScriptCall]) -> list[Any]:
        """Run several scripts in order in one round trip, each atomic by itself; raises StoreUnavailableError."""
        if not calls:
            return []
        with redis_errors():
            return await self._round_trips.send(calls)

    async def call_each(self, calls: Sequence[ScriptCall]) -> list[Any]:
        """Run scripts of several threads; the answer of one may be an UnreadableRecordError."""
        answers = await asyncio.gather(*(self.call_many([call]) for call in calls), return_exceptions=True)
        return [_one_of(answer) for answer in answers]

    async def read_after(
        self, positions: Mapping[str, str], *, limit: int
    ) -> Sequence[tuple[bytes, Sequence[RawEntry]]]:
        """Return the entries after each stream's position, without blocking; raises RedisError, OSError."""
        if self._stream_read_connection is None:
            self._stream_read_connection = StreamReadConnection(self.redis.connection_pool)
        return await self._stream_read_connection.read(positions, limit=limit)

    async def load_scripts(self) -> None:
        """Load all scripts into Redis, so that the first calls need not; raises StoreUnavailableError."""
        with redis_errors():
            await load_scripts(self.redis, self._scripts.values())

    async def servers(self) -> Sequence[Redis]:
        """Return the client: this is the only server."""
        return [self.redis]

    def node_of(self, key: str) -> str:
        """Return one name for all keys."""
        return ""

    def thread_notifications(self) -> Notifications:
        """Return what opens subscriptions to the channels of threads."""
        return Notifications(self.redis)

    def worker_notifications(self) -> Notifications:
        """Return what opens subscriptions to the channels of workers."""
        return Notifications(self.redis)

    async def check(self) -> None:
        """Return: any Redis server will do."""

    async def aclose(self) -> None:
        """Close all connections."""
        await self.redis.aclose()

    async def _exchange(self, calls: Sequence[ScriptCall]) -> list[Any]:
        """Return the result of each call, or its error."""
        results = await self._send(calls)
        unknown = [position for position, result in enumerate(results) if isinstance(result, NoScriptError)]
        if unknown:
            await self.load_scripts()
            again = await self._send([calls[position] for position in unknown])
            for position, result in zip(unknown, again, strict=True):
                results[position] = result
        return results

    async def _send(self, calls: Sequence[ScriptCall]) -> list[Any]:
        # redis-py's own script support would ask Redis before every pipeline whether it has them.
        pipe = self.redis.pipeline(transaction=False)
        for call in calls:
            pipe.evalsha(self._scripts[call.script].sha, len(call.keys), *call.keys, *call.arguments)
        return list(await pipe.execute(raise_on_error=False))
