"""SQLite in a file: one writer in each process, readers beside it, a time limit on each statement."""

import asyncio
import importlib
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DatabaseError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from shared.config import DbConfig
from shared.database_url import SqliteFile
from shared.db.revision import read_revision
from shared.db.schema import check_revision
from shared.errors import ConfigurationError, SchemaBehindError

# Steps of SQLite's virtual machine between two looks at the clock: about a millisecond.
_STEPS: Final = 10_000
_NOT_A_DATABASE: Final = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)
_LIMIT_KEY: Final = "statement_limit"


class SqliteBackend:
    """Opens transactions on the file: those that write one after the other, those that read at any time."""

    def __init__(self, address: SqliteFile, config: DbConfig) -> None:
        self.path = path = address.path
        self._writer = _make_engine(path, config, begin="BEGIN IMMEDIATE", pool_size=1, max_overflow=0)
        sizes = {"pool_size": config.pool_size, "max_overflow": config.max_overflow}
        self._reader = _make_engine(path, config, begin="BEGIN", **sizes)

    async def check(self) -> None:
        """Upgrade the schema where it is behind. Raises SchemaTooNewError, and ConfigurationError for another file."""
        try:
            try:
                check_revision(await self.read_revision())
            except SchemaBehindError:
                # Imported when it is needed: Alembic takes a second, and hardly any start has anything to upgrade.
                module = await asyncio.to_thread(importlib.import_module, "shared.db.upgrade_sqlite")
                await asyncio.to_thread(module.upgrade_sqlite, self.path)
        except DatabaseError as error:
            if getattr(error.orig, "sqlite_errorcode", None) not in _NOT_A_DATABASE:
                raise
            raise ConfigurationError(f"{self.path} is not a SQLite database, or a damaged one; move it away") from error

    async def read_revision(self) -> str | None:
        """Return the revision of the schema, None where there is no file."""
        if not await asyncio.to_thread(self.path.exists):
            return None  # a connection would make the file, readable by everybody
        async with self._reader.begin() as connection:
            return await connection.run_sync(read_revision)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._reader.dispose()
        await self._writer.dispose()

    @asynccontextmanager
    async def transaction(self, *, tenant: str, read_only: bool) -> AsyncIterator[AsyncConnection]:
        """Open a transaction; which rows are the tenant's is up to the statements, SQLite has no row-level security."""
        async with (self._reader if read_only else self._writer).begin() as connection:
            yield connection

    @asynccontextmanager
    async def system_transaction(self, *, digest: bytes) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that reads."""
        async with self._reader.begin() as connection:
            yield connection


def open_backend(address: SqliteFile, config: DbConfig) -> SqliteBackend:
    """Return the backend of this engine."""
    return SqliteBackend(address, config)


class StatementLimit:
    """Ends a statement that takes too long; SQLite asks from the thread that works on it."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._deadline = float("inf")

    def restart(self) -> None:
        """Begin to measure a statement."""
        self._deadline = time.monotonic() + self._seconds

    def end(self) -> None:
        """End the statement that runs."""
        self._deadline = float("-inf")

    def is_over(self) -> bool:
        """Whether the statement has to end."""
        return time.monotonic() > self._deadline


def _make_engine(path: Path, config: DbConfig, *, begin: str, pool_size: int, max_overflow: int) -> AsyncEngine:
    engine = create_async_engine(
        f"sqlite+aiosqlite:///{path.absolute()}",
        # None: the driver begins no transactions by itself, and the mode of ours is known.
        connect_args={"isolation_level": None, "timeout": config.pool_timeout},
        pool_size=pool_size,
        max_overflow=max_overflow,
        pool_timeout=config.pool_timeout,
        hide_parameters=True,
    )
    is_reader = begin == "BEGIN"

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
        limit = entry.info[_LIMIT_KEY] = StatementLimit(config.statement_timeout)
        connection.run_async(lambda raw: raw.set_progress_handler(limit.is_over, _STEPS))
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys = ON")
        if is_reader:
            cursor.execute("PRAGMA query_only = ON")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin_transaction(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def start_limit(connection: Connection, *_arguments: Any) -> None:
        connection.info[_LIMIT_KEY].restart()

    @event.listens_for(engine.sync_engine, "invalidate")
    def roll_back(connection: DBAPIConnection, entry: ConnectionPoolEntry, _error: BaseException | None) -> None:
        # After a cancellation: the statement would go on, and its transaction would hold the file until all references
        # to its cursor are gone, even though the connection is closed.
        entry.info[_LIMIT_KEY].end()
        connection.rollback()

    return engine
