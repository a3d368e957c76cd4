"""The SQL database of a process: opens transactions in the name of one tenant, once it has checked itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol, Self

from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.failures import translated
from shared.errors import TenantNotFoundError
from shared.ids import is_id


class Backend(Protocol):
    """What SQLite and PostgreSQL do each in their way."""

    async def check(self) -> None:
        """Raise a ConfigurationError for a role or a schema that must not be served; SQLite upgrades itself."""

    async def read_revision(self) -> str | None:
        """Return the revision of the schema, None where there is none; nothing is made or changed."""

    def transaction(self, *, tenant: str, read_only: bool) -> AbstractAsyncContextManager[AsyncConnection]:
        """Open a transaction in the name of a tenant."""

    def system_transaction(self, *, digest: bytes) -> AbstractAsyncContextManager[AsyncConnection]:
        """Open a transaction that reads what belongs to no tenant."""

    async def aclose(self) -> None:
        """Close all connections."""


class Database:
    """Transactions with time limits; each of their failures that may pass is a DatabaseUnavailableError.

    Connections are opened when they are needed: a database may be away at the start. No statement runs before the
    check has passed, so that a role that is bound by no policy never serves anybody.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._is_checked = False
        self._checking = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.aclose()

    async def check(self) -> None:
        """Raise ConfigurationError when nothing must be done with this database, SchemaBehindError among them."""
        async with self._checking:
            if not self._is_checked:
                with translated():
                    await self._backend.check()
                self._is_checked = True

    async def read_revision(self) -> str | None:
        """Return the revision of the schema, None where there is none; nothing is made or changed."""
        with translated():
            return await self._backend.read_revision()

    @asynccontextmanager
    async def transaction(self, tenant: str, *, read_only: bool = False) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that sees and changes the rows of one tenant; committed at the end of the block.

        One that only reads waits for no writer. Do not open one inside of another: each needs a connection.
        """
        if not is_id(tenant):
            raise TenantNotFoundError
        await self.check()
        with translated():
            async with self._backend.transaction(tenant=tenant, read_only=read_only) as connection:
                yield connection

    @asynccontextmanager
    async def system_transaction(self, *, digest: bytes = b"") -> AsyncIterator[AsyncConnection]:
        """Open a transaction that reads the list of tenants and, of any tenant, what has this digest of a secret.

        On PostgreSQL nothing else can be seen in it, and nothing be changed.
        """
        await self.check()
        with translated():
            async with self._backend.system_transaction(digest=digest) as connection:
                yield connection

    async def aclose(self) -> None:
        """Close all connections."""
        await self._backend.aclose()
