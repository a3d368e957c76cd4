"""The file of the embedded database: private, shared by processes, one writer at a time and readers beside it."""

import asyncio
import os
import sqlite3
import stat
import sys
from contextlib import closing
from pathlib import Path
from shutil import copy2

import pytest
from sqlalchemy import delete, func, insert, select, text
from sqlalchemy.exc import IntegrityError, OperationalError

from shared.config import DbConfig
from shared.contract.principal import Scope
from shared.db.stores import SqlStores, make_sql_stores
from shared.db.tables import api_keys, tenants, users
from shared.errors import ConfigurationError, DatabaseUnavailableError
from shared.settings.model import Settings
from tests.fakes.fake_clock import FakeClock

# Makes 40 keys, one transaction each, beside another process that does the same.
WRITER = """
import asyncio, sys
from pathlib import Path
from shared.contract.principal import Scope
from shared.db.stores import make_sql_stores
from shared.settings.model import Settings

async def main():
    stores = make_sql_stores(Settings(data_dir=Path(sys.argv[1])))
    async with stores.database:
        for _ in range(40):
            await stores.api_keys.create(tenant="default", user_id=sys.argv[2], scopes=[Scope.RUN])

asyncio.run(main())
"""


@pytest.fixture
def db_settings(tmp_path: Path, sqlite_template: Path) -> Settings:
    copy2(sqlite_template, tmp_path)
    return Settings(data_dir=tmp_path)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_the_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    former = os.umask(0)
    try:
        stores = make_sql_stores(Settings(data_dir=tmp_path / "new"))
        async with stores.database:
            await stores.tenants.create("other")
            files = {file.name: oct(mode(file)) for file in sorted((tmp_path / "new").glob("*"))}
    finally:
        os.umask(former)
    assert files == dict.fromkeys(("baud.db", "baud.db-shm", "baud.db-wal", "baud.db.lock"), "0o600")


async def test_two_processes_write_beside_each_other(tmp_path: Path, stores: SqlStores) -> None:
    argv = (sys.executable, "-c", WRITER, str(tmp_path))
    processes = [await asyncio.create_subprocess_exec(*argv, user) for user in ("ann", "ben")]
    assert [await process.wait() for process in processes] == [0, 0]
    keys = await stores.api_keys.list("default")
    assert sorted(key.user_id for key in keys) == ["ann"] * 40 + ["ben"] * 40


async def test_tasks_of_a_process_write_one_after_the_other(stores: SqlStores) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(50):
            group.create_task(stores.tenants.create(f"tenant-{number}"))
    assert len(await stores.tenants.list()) == 51


async def test_a_writer_keeps_no_reader_waiting(stores: SqlStores) -> None:
    async with stores.database.transaction("default") as connection:
        await connection.execute(text("UPDATE tenants SET name = 'changed'"))
        assert [tenant.name for tenant in await stores.tenants.list()] == ["Default"]
    assert [tenant.name for tenant in await stores.tenants.list()] == ["changed"]


async def test_a_transaction_that_only_reads_cannot_write(stores: SqlStores) -> None:
    with pytest.raises(OperationalError, match="readonly"):
        async with stores.database.transaction("default", read_only=True) as connection:
            await connection.execute(delete(tenants))
    with pytest.raises(OperationalError, match="readonly"):
        async with stores.database.system_transaction() as connection:
            await connection.execute(delete(tenants))


async def test_a_writer_of_another_process_is_waited_for_a_limited_time(db_settings: Settings) -> None:
    settings = db_settings.model_copy(update={"db": DbConfig(pool_timeout=0.2)})
    stores = make_sql_stores(settings)
    async with stores.database:
        await stores.database.check()
        with closing(sqlite3.connect(settings.data_dir / "baud.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(DatabaseUnavailableError) as failure:
                await stores.tenants.create("other")
            assert "locked" in str(failure.value.__cause__)
            assert len(await stores.tenants.list()) == 1
        await stores.tenants.create("other")


async def test_foreign_keys_bind_and_a_tenant_takes_everything_along(stores: SqlStores, clock: FakeClock) -> None:
    await stores.tenants.create("other")
    await stores.api_keys.create(tenant="other", user_id="ann", scopes=[Scope.RUN])
    row = {"tenant": "unknown", "id": "x", "name": "x", "created_at": clock.now()}
    with pytest.raises(IntegrityError, match="FOREIGN KEY"):
        async with stores.database.transaction("default") as connection:
            await connection.execute(insert(users).values(**row))
    async with stores.database.transaction("other") as connection:
        await connection.execute(delete(tenants).where(tenants.c.id == "other"))
        counts = [await connection.scalar(select(func.count()).select_from(table)) for table in (users, api_keys)]
    assert counts == [0, 0]


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "baud.db").write_bytes(b"something else entirely\n" * 100)
    stores = make_sql_stores(Settings(data_dir=tmp_path))
    async with stores.database:
        with pytest.raises(ConfigurationError, match=r"baud\.db is not a SQLite database"):
            await stores.database.check()


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    stores = make_sql_stores(Settings(data_dir=tmp_path / "file"))
    async with stores.database:
        with pytest.raises(ConfigurationError, match="set data_dir or db"):
            await stores.database.check()
