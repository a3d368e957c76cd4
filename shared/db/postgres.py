"""PostgreSQL: each transaction says whose rows it sees, and row-level security shows it no others."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from shared.config import DbConfig
from shared.database_url import PostgresAddress
from shared.db.limited_connection import LimitedConnection
from shared.db.postgres_check import check_role_and_schema, read_granted_revision

# The server ends a slow statement by itself; only one that does not answer at all is given up so much later.
_GRACE_SECONDS: Final = 1.0
_MILLISECONDS: Final = 1000
# All of them each time, for this transaction only: what a role or a connection has by default must not count.
_SET: Final = text(
    "SELECT set_config('baud.tenant', :tenant, true), set_config('baud.system', :system, true),"
    " set_config('baud.digest', :digest, true), set_config('statement_timeout', :statement_timeout, true)"
)


class PostgresBackend:
    """Opens transactions of the service role; the settings that the policies read end with each of them."""

    def __init__(self, address: PostgresAddress, config: DbConfig) -> None:
        self._statement_timeout = str(round(config.statement_timeout * _MILLISECONDS))
        self._engine = _make_engine(address, config)

    async def check(self) -> None:
        """Refuse a role that row-level security does not bind, and a schema that this version does not fit."""
        async with self._engine.begin() as connection:
            await connection.run_sync(check_role_and_schema)

    async def read_revision(self) -> str | None:
        """Return the revision of the schema."""
        async with self._engine.begin() as connection:
            return await connection.run_sync(read_granted_revision)

    @asynccontextmanager
    async def transaction(self, *, tenant: str, read_only: bool) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that sees the rows of a tenant."""
        async with self._begin(tenant=tenant, read_only=read_only) as connection:
            yield connection

    @asynccontextmanager
    async def system_transaction(self, *, digest: bytes) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that sees the list of tenants, and what has this digest."""
        async with self._begin(system="on", digest=digest.hex(), read_only=True) as connection:
            yield connection

    async def aclose(self) -> None:
        """Close all connections."""
        await self._engine.dispose()

    @asynccontextmanager
    async def _begin(
        self, *, tenant: str = "", system: str = "", digest: str = "", read_only: bool
    ) -> AsyncIterator[AsyncConnection]:
        values = {"tenant": tenant, "system": system, "digest": digest, "statement_timeout": self._statement_timeout}
        async with self._engine.connect() as connection:
            await connection.execution_options(postgresql_readonly=read_only)
            async with connection.begin():
                await connection.execute(_SET, values)
                yield connection


def open_backend(address: PostgresAddress, config: DbConfig) -> PostgresBackend:
    """Return the backend of this engine."""
    return PostgresBackend(address, config)


def _make_engine(address: PostgresAddress, config: DbConfig) -> AsyncEngine:
    hosts = address.hosts.count(",") + 1

    async def connect() -> LimitedConnection:
        async with asyncio.timeout(config.connect_timeout * hosts):
            return await LimitedConnection.connect_limited(
                address.uri,
                limit_seconds=config.statement_timeout + _GRACE_SECONDS,
                connect_timeout=math.ceil(config.connect_timeout),
                # A pooler may give each transaction another connection, which has no statements prepared.
                prepare_threshold=None,
                fallback_application_name="baud",
            )

    return create_async_engine(
        "postgresql+psycopg://",
        async_creator=connect,
        pool_size=config.pool_size,
        max_overflow=config.max_overflow,
        pool_timeout=config.pool_timeout,
        # A server that was restarted would cost each connection one failed request.
        pool_pre_ping=True,
        use_native_hstore=False,
        hide_parameters=True,
    )
