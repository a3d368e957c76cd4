"""Upgrades a PostgreSQL database as the role that owns the schema, and grants the service role what it needs."""

import math
from typing import Any, Final

import psycopg
from sqlalchemy import Connection, create_engine, func, select, text
from sqlalchemy.pool import NullPool

from shared.config import DbConfig
from shared.database_url import PostgresAddress
from shared.db.tables import VERSION_TABLE, metadata
from shared.db.upgrade import Upgrade, migrate, upgrade_failures
from shared.errors import ConfigurationError

LOCK_ID: Final = 0x62617564  # "baud"; locks are per database
# For another process that upgrades: it may have large tables to rewrite.
_UPGRADE_LOCK: Final = "600s"
# For a table that is in use: whoever comes after a waiting migration waits too.
_TABLE_LOCK: Final = "10s"


def upgrade_postgres(owner: PostgresAddress, service: PostgresAddress, config: DbConfig) -> Upgrade:
    """Bring the schema to the newest revision. Raises ConfigurationError, with what to do first."""

    def connect() -> psycopg.Connection[Any]:
        return psycopg.connect(owner.uri, connect_timeout=math.ceil(config.connect_timeout))

    engine = create_engine("postgresql+psycopg://", creator=connect, poolclass=NullPool, use_native_hstore=False)
    # The end of the connection releases the lock, however it ends.
    with upgrade_failures(f"The role {owner.role} of db.owner_url"), engine.connect() as connection:
        _take_lock(connection)
        _check_role_exists(connection, service.role)
        upgrade = migrate(connection)
        _grant(connection, service.role)
        connection.commit()
        return upgrade


def _take_lock(connection: Connection) -> None:
    connection.execute(select(func.set_config("lock_timeout", _UPGRADE_LOCK, False)))
    connection.execute(select(func.pg_advisory_lock(LOCK_ID)))
    connection.execute(select(func.set_config("lock_timeout", _TABLE_LOCK, False)))
    connection.commit()


def _check_role_exists(connection: Connection, service_role: str) -> None:
    exists = text("SELECT 1 FROM pg_roles WHERE rolname = :name")
    if connection.scalar(exists, {"name": service_role}) is None:
        quoted = _quote(connection, service_role)
        raise ConfigurationError(
            f"The role {service_role} of db.url does not exist. As a superuser, run:"
            f" CREATE ROLE {quoted} LOGIN NOSUPERUSER NOBYPASSRLS PASSWORD '…'"
        )


def _grant(connection: Connection, service_role: str) -> None:
    """Grant rows, never structure: nothing that is granted here gets round a policy."""
    role = _quote(connection, service_role)
    schema = _quote(connection, str(connection.scalar(select(func.current_schema()))))
    tables = ", ".join(_quote(connection, table.name) for table in metadata.sorted_tables)
    connection.execute(text(f"GRANT USAGE ON SCHEMA {schema} TO {role}"))
    connection.execute(text(f"GRANT SELECT ON {VERSION_TABLE} TO {role}"))
    connection.execute(text(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {tables} TO {role}"))


def _quote(connection: Connection, name: str) -> str:
    return connection.dialect.identifier_preparer.quote_identifier(name)
