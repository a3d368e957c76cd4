"""The connection to Redis, its Lua scripts, and its failures as our own errors."""

import asyncio
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

from redis.asyncio import Redis
from redis.commands.core import AsyncScript
from redis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterDownError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.config import RedisConfig
from shared.errors import StoreUnavailableError, UnreadableRecordError
from shared.keys import ThreadKeys
from shared.store.redis.master_pool import open_pool
from shared.store.redis.round_trips import SharedRoundTrips
from shared.store.redis.stream_read_connection import RawEntry, StreamReadConnection

# Every script may be sent twice without a second effect, so a lost answer may be asked for again.
RETRIES: Final = 3

# A replica during fail-over, a full memory, a failed fork, a slot that moves: the command was refused, not wrong.
_REFUSALS: Final = (OutOfMemoryError, ReadOnlyError, ClusterDownError, TryAgainError, AskError)
# Codes that redis-py has no class for, and those that a Redis before version 7 prefixes with text about the script, or
# redis-py with text about the pipeline.
_REFUSED: Final = re.compile(
    r"(?:^|[:\s]-|caused error: \(')"
    r"(?:OOM|MISCONF|LOADING|READONLY|CLUSTERDOWN|TRYAGAIN|NOAUTH|NOREPLICAS|MASTERDOWN)\b"
)

# In a cluster PUBLISH reaches every node; SPUBLISH notifies only on the node that has the thread.
_PUBLISH: Final = {False: "local PUBLISH_COMMAND = 'PUBLISH'\n", True: "local PUBLISH_COMMAND = 'SPUBLISH'\n"}

logger = logging.getLogger(__name__)

Argument = str | bytes | int | float


@dataclass(frozen=True, slots=True)
class ScriptCall:
    """One call of a script; in a cluster one that is not `is_needed` may fail when its node cannot be used."""

    script: str
    keys: Sequence[str]
    arguments: Sequence[Argument]
    is_needed: bool = True


@contextmanager
def redis_errors() -> Iterator[None]:
    """Translate failures of Redis into StoreUnavailableError, or UnreadableRecordError for a key of the wrong type."""
    try:
        yield
    except (RedisConnectionError, RedisTimeoutError, BusyLoadingError, OSError) as error:
        raise StoreUnavailableError from error
    except RuntimeError as error:
        # uvloop's error for writing to a connection that has just been closed; redis-py lets it through.
        if "handler is closed" not in str(error):
            raise
        raise StoreUnavailableError from error
    except RedisError as error:
        if isinstance(error, _REFUSALS) or _REFUSED.search(str(error)):
            # The text of Redis names scripts and addresses of ours, and the sentence of an error goes to clients.
            logger.warning("Redis refuses to serve: %s", error)
            raise StoreUnavailableError("Redis refuses to serve. Try again.") from error
        if "WRONGTYPE" in str(error):
            raise UnreadableRecordError("A Redis key has the wrong type.") from error
        raise


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
    """One process's Redis client with its scripts; the stores share it."""

    def __init__(self, redis: Any, *, cluster: bool = False) -> None:  # a Redis, or what has its methods
        # redis-py types every answer as bytes or str; what comes here is always bytes.
        self.redis = redis
        self._cluster = cluster
        self._round_trips = SharedRoundTrips(self._exchange)
        self._stream_read_connection: StreamReadConnection | None = None
        folder = resources.files("shared.store") / "lua"
        library = _PUBLISH[cluster] + (folder / "_library.lua").read_text()
        self._scripts: dict[str, AsyncScript] = {
            file.name.removesuffix(".lua"): self.redis.register_script((library + file.read_text()).encode())
            for file in folder.iterdir()
            if file.name.endswith(".lua") and not file.name.startswith("_")
        }

    def keys(self, thread_id: str) -> ThreadKeys:
        """Return the key names of a thread."""
        return ThreadKeys(thread_id, self._cluster)

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
        """Run scripts of several threads; the answer of one may be an UnreadableRecordError.

        Only in a cluster, it may be a StoreUnavailableError too.
        """
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
            for redis in await self.servers():
                pipe = redis.pipeline(transaction=False)
                for script in self._scripts.values():
                    pipe.script_load(script.script)
                await pipe.execute()

    async def servers(self) -> list[Redis]:
        """Return a client for each server that may be written to."""
        return [self.redis]

    def node_of(self, key: str) -> str:
        """Return the name of the node that has a key; streams of one node are read together."""
        return ""

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
