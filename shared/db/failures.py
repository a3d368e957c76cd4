"""Failures of the database as errors of Baud: what may pass is DatabaseUnavailableError, any other is a bug."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from shared.errors import DatabaseUnavailableError

# Primary result codes of SQLite that do not say that a statement is wrong.
_PASSING_CODES: Final = frozenset({
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL,
})  # fmt: skip
_PRIMARY_CODE: Final = 0xFF


@contextmanager
def translated() -> Iterator[None]:
    """Raise DatabaseUnavailableError for a lost connection, a time limit, a lock, a full disk; the cause says which."""
    try:
        yield
    except PoolTimeoutError as error:
        raise DatabaseUnavailableError from error
    except DBAPIError as error:
        if not _may_pass(error):
            raise
        raise DatabaseUnavailableError from error
    except (OSError, TimeoutError) as error:
        raise DatabaseUnavailableError from error


def _may_pass(error: DBAPIError) -> bool:
    if error.connection_invalidated:
        return True
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    if isinstance(error.orig, sqlite3.Error):
        code: int = getattr(error.orig, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        return code & _PRIMARY_CODE in _PASSING_CODES
    return True
