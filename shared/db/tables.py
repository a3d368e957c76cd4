"""The tables as they are today. A change here needs a migration; a test compares both.

Every table but `tenants` has a column `tenant`, and on PostgreSQL row-level security by it.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

VERSION_TABLE: Final = "schema_version"
TENANT_COLUMN: Final = "tenant"
DIGEST_BYTES: Final = 32
ID_CHARS: Final = 255


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time in UTC on every engine; SQLite stores it without a zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a time without a zone: nobody knows when it was."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone; pass an aware datetime, such as datetime.now(UTC)")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the time in UTC, whatever zone the server's session has."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

tenants = Table(
    "tenants",
    metadata,
    Column("id", String(ID_CHARS), primary_key=True),
    Column("name", String, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("settings", JSON),
)

users = Table(
    "users",
    metadata,
    Column(TENANT_COLUMN, String(ID_CHARS), primary_key=True),
    Column("id", String(ID_CHARS), primary_key=True),
    Column("email", String(320)),
    Column("name", String, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("disabled_at", UtcDateTime),
    ForeignKeyConstraint([TENANT_COLUMN], ["tenants.id"], ondelete="CASCADE"),
    UniqueConstraint(TENANT_COLUMN, "email"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column(TENANT_COLUMN, String(ID_CHARS), primary_key=True),
    Column("id", String(ID_CHARS), primary_key=True),
    Column("user_id", String(ID_CHARS), nullable=False),
    Column("prefix", String(32), nullable=False),
    Column("hash", LargeBinary(DIGEST_BYTES), nullable=False, unique=True),
    Column("scopes", String, nullable=False),
    Column("name", String, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("last_used_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    ForeignKeyConstraint([TENANT_COLUMN, "user_id"], ["users.tenant", "users.id"], ondelete="CASCADE"),
    CheckConstraint(f"length(hash) = {DIGEST_BYTES}", name="hash_length"),
)


def tenant_tables() -> Iterator[Table]:
    """Yield every table whose rows belong to a tenant: `tenants` itself, and each with a column for it."""
    return (table for table in metadata.sorted_tables if table is tenants or TENANT_COLUMN in table.columns)
