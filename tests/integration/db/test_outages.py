"""A database that is away, hangs or is full costs a limited time, and afterwards everything goes on."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select, text
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from shared.config import DbConfig
from shared.db.database import Database
from shared.db.stores import SqlStores, make_sql_stores
from shared.errors import DatabaseUnavailableError
from shared.settings.model import Settings
from tests.integration.db.conftest import PostgresDatabase
from tests.integration.postgres_process import SERVICE
from tests.integration.redis_process import free_port

# Far above every limit that is set here, far below the test's own.
PATIENCE_SECONDS = 30
SHORT = {"statement_timeout": 0.3, "connect_timeout": 0.3, "pool_timeout": 0.3}
ENDLESS = {
    "sqlite": text("WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT 1 FROM n) SELECT count(*) FROM n"),
    "postgresql": text("SELECT pg_sleep(3600)"),
}


@asynccontextmanager
async def opened(settings: Settings, **db: object) -> AsyncIterator[SqlStores]:
    changed = settings.model_copy(update={"db": settings.db.model_copy(update=db)})
    stores = await asyncio.to_thread(make_sql_stores, changed)
    async with stores.database:
        yield stores


async def work_without_end(database: Database, begun: asyncio.Event) -> None:
    async with database.transaction("default") as connection:
        await connection.execute(text("UPDATE tenants SET name = 'changed'"))
        begun.set()
        await connection.execute(ENDLESS[connection.dialect.name])


async def test_a_statement_without_end_is_ended(db_settings: Settings) -> None:
    async with opened(db_settings, **SHORT, pool_size=1, max_overflow=0) as stores, asyncio.timeout(PATIENCE_SECONDS):
        for _ in range(3):  # so that the one connection is given back
            with pytest.raises(DatabaseUnavailableError):
                await work_without_end(stores.database, asyncio.Event())
        assert len(await stores.tenants.list()) == 1


async def test_whoever_is_cancelled_in_a_statement_ends_at_once(db_settings: Settings) -> None:
    limits = {"statement_timeout": 2 * PATIENCE_SECONDS, "pool_size": 1, "max_overflow": 0}
    async with opened(db_settings, **limits) as stores, asyncio.timeout(PATIENCE_SECONDS):
        for _ in range(2):
            begun = asyncio.Event()
            task = asyncio.create_task(work_without_end(stores.database, begun))
            await begun.wait()
            for _ in range(100):  # so that the statement has left this thread
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert [tenant.name for tenant in await stores.tenants.list()] == ["Default"]
        await stores.tenants.create("other")


async def test_whoever_finds_all_connections_in_use_waits_for_a_limited_time(db_settings: Settings) -> None:
    async with opened(db_settings, **SHORT, pool_size=1, max_overflow=0) as stores, asyncio.timeout(PATIENCE_SECONDS):
        async with stores.database.transaction("default"):
            with pytest.raises(DatabaseUnavailableError) as failure:
                await stores.tenants.create("other")
        # SQLite too makes a second writer wait here, and not in the file.
        assert isinstance(failure.value.__cause__, PoolTimeoutError)
        await stores.tenants.create("other")


async def test_a_failed_block_is_rolled_back(db_settings: Settings) -> None:
    async with opened(db_settings) as stores:

        async def work() -> None:
            async with stores.database.transaction("default") as connection:
                await connection.execute(text("UPDATE tenants SET name = 'changed'"))
                raise RuntimeError("mine")

        with pytest.raises(RuntimeError, match="mine"):
            await work()
        assert [tenant.name for tenant in await stores.tenants.list()] == ["Default"]


def elsewhere(port: int) -> Settings:
    url = SecretStr(f"postgresql://baud:secret@127.0.0.1:{port}/baud")
    return Settings(db=DbConfig(url=url, connect_timeout=0.3))


async def test_a_server_that_is_not_there_is_reported() -> None:
    async with opened(elsewhere(free_port())) as stores, asyncio.timeout(PATIENCE_SECONDS):
        for call in (stores.database.check, stores.tenants.list, stores.database.read_revision):
            with pytest.raises(DatabaseUnavailableError) as failure:
                await call()
            assert "secret" not in f"{failure.value} {failure.value.__cause__}"


async def test_a_server_that_takes_connections_and_says_nothing_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with opened(elsewhere(listener.getsockname()[1])) as stores, asyncio.timeout(PATIENCE_SECONDS):
            with pytest.raises(DatabaseUnavailableError):
                await stores.tenants.list()


async def test_a_server_that_hangs_is_reported_and_used_again(shared_postgres: PostgresDatabase) -> None:
    settings = shared_postgres.settings()
    async with opened(settings, **SHORT) as stores, asyncio.timeout(PATIENCE_SECONDS):
        async with stores.database.transaction("default") as connection:
            await connection.execute(text("SELECT 1"))
            shared_postgres.server.pause()
            try:
                with pytest.raises(DatabaseUnavailableError):
                    await stores.tenants.list()
            finally:
                shared_postgres.server.resume()
        assert len(await stores.tenants.list()) == 1


async def test_a_server_that_hangs_in_a_transaction_ends_it(shared_postgres: PostgresDatabase) -> None:
    async with opened(shared_postgres.settings(), **SHORT) as stores, asyncio.timeout(PATIENCE_SECONDS):

        async def work() -> None:
            async with stores.database.transaction("default") as connection:
                await connection.execute(text("UPDATE tenants SET name = 'changed'"))
                shared_postgres.server.pause()
                await connection.execute(text("SELECT 1"))

        try:
            with pytest.raises(DatabaseUnavailableError):
                await work()
        finally:
            shared_postgres.server.resume()
        assert [tenant.name for tenant in await stores.tenants.list()] == ["Default"]


async def test_connections_that_a_server_has_closed_are_replaced(shared_postgres: PostgresDatabase) -> None:
    async with opened(shared_postgres.settings()) as stores:
        await stores.tenants.list()
        kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
        assert (True,) in shared_postgres.query(kill, shared_postgres.name)
        assert len(await stores.tenants.list()) == 1


async def test_a_connection_that_is_lost_in_a_transaction_is_reported(shared_postgres: PostgresDatabase) -> None:
    async with opened(shared_postgres.settings()) as stores:

        async def work() -> None:
            async with stores.database.transaction("default") as connection:
                pid = await connection.scalar(select(func.pg_backend_pid()))
                shared_postgres.query("SELECT pg_terminate_backend(%s)", pid)
                await connection.execute(text("SELECT 1"))

        with pytest.raises(DatabaseUnavailableError):
            await work()
        assert len(await stores.tenants.list()) == 1


async def test_a_wrong_password_is_no_bug(shared_postgres: PostgresDatabase) -> None:
    url = shared_postgres.url(SERVICE).replace("p%40ss", "other")
    async with opened(Settings(db=DbConfig(url=SecretStr(url)))) as stores:
        with pytest.raises(DatabaseUnavailableError) as failure:
            await stores.database.check()
        assert "password authentication failed" in str(failure.value.__cause__)
