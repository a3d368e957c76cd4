"""What the stores need of Redis, and the one place that chooses which kind of Redis gives it to them."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from redis.asyncio import Redis

from shared.config import RedisConfig
from shared.keys import ThreadKeys
from shared.store.redis.connection import RETRIES, Connection, open_redis
from shared.store.redis.notifications import NotificationSource
from shared.store.redis.scripts import Argument, ScriptCall
from shared.store.redis.stream_read_connection import RawEntry


class StoreConnection(Protocol):
    """One process's connections to Redis, on one server or on several, each with the keys of some threads."""

    @property
    def redis(self) -> Any:
        """A client of redis-py, or what has its methods: for commands with keys of one thread, or with one key."""

    def keys(self, thread_id: str) -> ThreadKeys:
        """Return the key names of a thread; all are on one server."""

    async def call(self, script: str, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """Run a script of ours; raises StoreUnavailableError."""

    async def call_many(self, calls: Sequence[ScriptCall]) -> list[Any]:
        """Run several scripts in order, each atomic by itself; raises StoreUnavailableError."""

    async def call_each(self, calls: Sequence[ScriptCall]) -> list[Any]:
        """Run scripts of several threads, each atomic by itself.

        The answer of one may be an UnreadableRecordError, or a StoreUnavailableError if others could be used.
        """

    async def read_after(
        self, positions: Mapping[str, str], *, limit: int
    ) -> Sequence[tuple[bytes, Sequence[RawEntry]]]:
        """Return the entries after each stream's position, without blocking; raises RedisError, OSError."""

    async def load_scripts(self) -> None:
        """Load all scripts into Redis, so that the first calls need not; raises StoreUnavailableError."""

    async def servers(self) -> Sequence[Redis]:
        """Return a client for each server that may be written to; raises StoreUnavailableError."""

    def node_of(self, key: str) -> str:
        """Return the name of the server that has a key; streams of one server are read together."""

    def thread_notifications(self) -> NotificationSource:
        """Return what opens subscriptions to the channels of threads."""

    def worker_notifications(self) -> NotificationSource:
        """Return what opens subscriptions to the channels of workers."""

    async def check(self) -> None:
        """Raise ConfigurationError for a Redis that answers and cannot do what the configuration asks for."""

    async def aclose(self) -> None:
        """Close all connections."""


def open_connection(config: RedisConfig, *, retries: int = RETRIES) -> StoreConnection:
    """Return the connection that the configuration asks for; nothing is connected yet. The caller closes it."""
    if config.cluster:
        # Imported by those who use it: one server needs none of it.
        from shared.store.cluster.connection import open_cluster  # noqa: PLC0415

        return open_cluster(config, retries=retries)
    return Connection(open_redis(config, retries=retries))


async def check_connection(config: RedisConfig) -> None:
    """Raise ConfigurationError for a Redis that answers and cannot do what the configuration asks for.

    One that does not answer yet passes, at once.
    """
    connection = open_connection(config, retries=0)
    try:
        await connection.check()
    finally:
        await connection.aclose()
