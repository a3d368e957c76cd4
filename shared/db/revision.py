"""Reads the revision of a database's schema."""

from sqlalchemy import Connection, column, inspect, select, table

from shared.db.tables import VERSION_TABLE

_VERSIONS = table(VERSION_TABLE, column("version_num"))


def read_revision(connection: Connection) -> str | None:
    """Return the revision; None for a database without one. Several, which no version of Baud makes, are joined."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return ",".join(sorted(connection.scalars(select(_VERSIONS.c.version_num)))) or None
