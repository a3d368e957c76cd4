"""The connection to Redis, its Lua scripts, and its failures in our own words."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import BusyLoadingError, NoScriptError, ReadOnlyError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.contract.config import RedisConfig
from shared.errors import StoreUnavailableError
from shared.keys import ThreadKeys

# Every script may be sent twice without a second effect, so a lost answer may be asked for again.
_RETRIES: Final = 3
# Long enough for a rush of clients to be served in turn instead of being refused.
_POOL_WAIT_SECONDS: Final = 10.0
_SCRIPTS: Final = (
    "answer_run", "append_run", "cancel_run", "claim_run", "create_thread", "delete_thread", "fail_pending",
    "finish_run", "name_run", "release_run", "renew_index", "renew_run", "submit_run", "take_due", "take_steer",
    "wait_run", "watch_run",
)  # fmt: skip

_REFUSALS: Final = frozenset({"OOM", "MISCONF", "LOADING", "READONLY", "CLUSTERDOWN", "TRYAGAIN", "NOAUTH"})

Argument = str | bytes | int | float


@dataclass(frozen=True, slots=True)
class ScriptCall:
    """One call of a script of ours."""

    script: str
    keys: Sequence[str]
    arguments: Sequence[Argument]


@contextmanager
def redis_errors() -> Iterator[None]:
    """Turn what means that Redis cannot be used now into StoreUnavailableError."""
    try:
        yield
    except (RedisConnectionError, RedisTimeoutError, BusyLoadingError, ReadOnlyError, OSError) as error:
        raise StoreUnavailableError from error
    except RuntimeError as error:
        # uvloop's word for writing to a connection that has just been closed; redis-py lets it through.
        if "handler is closed" not in str(error):
            raise
        raise StoreUnavailableError from error
    except RedisError as error:
        # A replica during fail-over, a full memory, a failed fork: the command was refused, not wrong.
        if str(error).split(" ", 1)[0] in _REFUSALS:
            raise StoreUnavailableError(f"Redis refuses to serve: {error}") from error
        raise


def open_redis(config: RedisConfig, *, retries: int = _RETRIES) -> Redis:
    """Return a client with its own pool; nothing is connected before the first command. The caller closes it.

    A command that finds every connection in use waits for one.
    """
    pool = BlockingConnectionPool.from_url(
        config.url.get_secret_value(),
        max_connections=config.max_connections,
        timeout=_POOL_WAIT_SECONDS,
        socket_connect_timeout=config.connect_timeout,
        socket_timeout=config.command_timeout,
        retry=Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), retries),
        health_check_interval=0,
    )
    return Redis.from_pool(pool)


class Connection:
    """One process's Redis client with its scripts; the stores share it."""

    def __init__(self, redis: Redis, *, cluster: bool = False) -> None:
        # redis-py types every answer as bytes or str; what comes here is always bytes.
        self.redis: Any = redis
        self._cluster = cluster
        folder = resources.files("shared.store") / "lua"
        library = (folder / "_library.lua").read_text()
        self._scripts: dict[str, AsyncScript] = {
            name: redis.register_script(library + (folder / f"{name}.lua").read_text()) for name in _SCRIPTS
        }

    def keys(self, thread_id: str) -> ThreadKeys:
        """Return the key names of a thread."""
        return ThreadKeys(thread_id, self._cluster)

    async def call(self, script: str, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """Run a script of ours; raises StoreUnavailableError."""
        with redis_errors():
            return await self._scripts[script](keys=list(keys), args=list(arguments))

    async def call_many(self, calls: Sequence[ScriptCall]) -> list[Any]:
        """Run several scripts in order in one round trip, each atomic by itself; raises StoreUnavailableError."""
        if not calls:
            return []
        try:
            return await self._send(calls)
        except NoScriptError:
            await self.load_scripts()
            return await self._send(calls)

    async def load_scripts(self) -> None:
        """Make all scripts known to Redis, so that the first calls need not; raises StoreUnavailableError."""
        with redis_errors():
            pipe = self.redis.pipeline(transaction=False)
            for script in self._scripts.values():
                pipe.script_load(script.script)
            await pipe.execute()

    async def _send(self, calls: Sequence[ScriptCall]) -> list[Any]:
        # redis-py's own way with scripts would ask Redis before every pipeline whether it knows them.
        with redis_errors():
            pipe = self.redis.pipeline(transaction=False)
            for call in calls:
                pipe.evalsha(self._scripts[call.script].sha, len(call.keys), *call.keys, *call.arguments)
            return list(await pipe.execute())
