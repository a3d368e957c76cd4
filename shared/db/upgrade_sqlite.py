"""Upgrades a SQLite file in place, under a lock of its own beside it."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from shared.db.upgrade import Upgrade, migrate, upgrade_failures
from shared.errors import ConfigurationError, DatabaseUnavailableError

# Above what any migration of a file on a slow disk takes.
_LOCK_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 0.05


def upgrade_sqlite(path: Path) -> Upgrade:
    """Make the file if there is none, and bring it to the newest revision."""
    with _locked(path.with_name(f"{path.name}.lock")), upgrade_failures("This version"):
        _make_private_file(path)
        # Foreign keys stay off, as SQLite has them by default: a migration may have to make a table anew.
        engine = create_engine(
            f"sqlite:///{path.absolute()}",
            connect_args={"isolation_level": None, "timeout": _LOCK_SECONDS},
            poolclass=NullPool,
            hide_parameters=True,
        )
        event.listen(engine, "connect", _use_write_ahead_log)
        event.listen(engine, "begin", _begin)
        with engine.connect() as connection:
            return migrate(connection)


def _use_write_ahead_log(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    # The file keeps this mode. It is set here alone: two processes that set it at the same time fail at once.
    connection.cursor().execute("PRAGMA journal_mode = WAL")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _make_private_file(path: Path) -> None:
    """Create the file for its owner alone, where there is none; SQLite gives its journals the same mode."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigurationError(
            f"cannot write beside the database, in {path.parent}: {error.strerror}; set data_dir or db.url"
        ) from error
    try:
        _wait_for(descriptor)
        yield
    finally:
        os.close(descriptor)


def _wait_for(descriptor: int) -> None:
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise DatabaseUnavailableError("Another process upgrades the schema of the database.") from None
            time.sleep(_POLL_SECONDS)
        else:
            return
