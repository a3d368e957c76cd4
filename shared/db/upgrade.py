"""Brings the schema to the revision that this version needs, once, however many processes ask for it.

Only this module and the migrations import Alembic. Everything here blocks: run it in a thread, or in a command.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from shared.db.failures import translated
from shared.db.revision import read_revision
from shared.db.schema import MIGRATIONS, check_revision, head_revision
from shared.errors import ConfigurationError, SchemaBehindError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Upgrade:
    """The revision of a database before and after; None: it had no tables."""

    before: str | None
    after: str

    @property
    def is_change(self) -> bool:
        """Whether anything was to be done."""
        return self.before != self.after


@contextmanager
def upgrade_failures(who: str) -> Iterator[None]:
    """Raise ConfigurationError with what the database said for anything but a failure that may pass."""
    try:
        with translated():
            yield
    except DBAPIError as error:
        said = str(error.orig).splitlines()[0]
        raise ConfigurationError(f"{who} cannot upgrade the schema of the database: {said}") from error


def migrate(connection: Connection) -> Upgrade:
    """Run the migrations that are missing; the caller holds the lock. Raises SchemaTooNewError."""
    before = read_revision(connection)
    connection.rollback()  # Alembic begins its own transaction
    try:
        check_revision(before)
    except SchemaBehindError:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
        logger.info("database schema upgraded from %s to %s", before or "nothing", head_revision())
    return Upgrade(before, head_revision())
