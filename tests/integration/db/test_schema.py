"""The schema: made by migrations, upgraded once by however many ask, refused where it does not fit the code."""

import asyncio
import fcntl
import os
import sqlite3
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg.sql import SQL
from sqlalchemy import Connection

from shared.config import DbConfig
from shared.db.schema import MIGRATIONS, head_revision, known_revisions
from shared.db.stores import SqlStores, make_sql_stores
from shared.db.tables import VERSION_TABLE, metadata
from shared.db.upgrade import Upgrade
from shared.db.upgrade_postgres import LOCK_ID, upgrade_postgres
from shared.db.upgrade_sqlite import upgrade_sqlite
from shared.errors import ConfigurationError, SchemaBehindError, SchemaTooNewError
from shared.settings.model import Settings
from tests.integration.db.conftest import PostgresDatabase
from tests.integration.postgres_process import OWNER, SERVICE, SUPERUSER

RunSql = Callable[[LiteralString], None]
ROOT = Path(__file__).parents[3]
COMMAND = (sys.executable, "-m", "baud", "db", "upgrade")
LIMIT_SECONDS = 60.0


def differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
    found: list[object] = compare_metadata(context, metadata)
    return found


async def test_the_migrations_make_the_tables_that_the_code_has(stores: SqlStores) -> None:
    async with stores.database.transaction("default") as connection:
        assert await connection.run_sync(differences) == []


def test_the_revisions_are_those_of_alembic_in_one_line() -> None:
    script = ScriptDirectory(str(MIGRATIONS))
    revisions = [revision.revision for revision in script.walk_revisions()]
    assert tuple(reversed(revisions)) == known_revisions()
    assert script.get_current_head() == head_revision()


async def test_a_new_data_folder_gets_its_schema_by_itself(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "yet"
    stores = make_sql_stores(Settings(data_dir=folder))
    async with stores.database:
        assert await stores.database.read_revision() is None
        assert not os.path.exists(folder)  # noqa: ASYNC240 - nothing else runs here
        assert [tenant.id for tenant in await stores.tenants.list()] == ["default"]
        assert await stores.database.read_revision() == head_revision()


async def test_postgresql_without_tables_is_refused_until_it_is_upgraded(empty_postgres: PostgresDatabase) -> None:
    stores = await asyncio.to_thread(make_sql_stores, empty_postgres.settings())
    async with stores.database:
        with pytest.raises(SchemaBehindError, match=r"no tables of Baud yet\. Run: baud db upgrade"):
            await stores.tenants.list()
        await asyncio.to_thread(empty_postgres.upgrade)
        assert [tenant.id for tenant in await stores.tenants.list()] == ["default"]


async def test_a_schema_of_a_later_version_is_refused(stores: SqlStores, run_sql: RunSql) -> None:
    run_sql("UPDATE schema_version SET version_num = '9999'")
    for _ in range(2):
        with pytest.raises(SchemaTooNewError, match=rf"revision 9999, and this version knows {head_revision()}"):
            await stores.tenants.list()
    run_sql("UPDATE schema_version SET version_num = '0001'")
    assert len(await stores.tenants.list()) == 1


def test_an_upgrade_leaves_a_later_schema_alone(postgres: PostgresDatabase) -> None:
    postgres.execute(SQL("UPDATE schema_version SET version_num = '9999'"))
    with pytest.raises(SchemaTooNewError):
        postgres.upgrade()
    assert postgres.query("SELECT version_num FROM schema_version") == [("9999",)]


def test_a_failed_upgrade_changes_nothing(empty_postgres: PostgresDatabase) -> None:
    empty_postgres.execute(SQL("CREATE TABLE api_keys (id int)"))
    with pytest.raises(ConfigurationError, match=r'cannot upgrade the schema.*"api_keys" already exists'):
        empty_postgres.upgrade()
    tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
    assert empty_postgres.query(tables) == [("api_keys",)]


def test_a_failed_upgrade_of_a_file_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "baud.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE api_keys (id int)")
    with pytest.raises(ConfigurationError, match=r"cannot upgrade the schema.*api_keys already exists"):
        upgrade_sqlite(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("api_keys",)]


def test_an_upgrade_says_which_role_has_to_be_made(empty_postgres: PostgresDatabase) -> None:
    nobody = empty_postgres.address("nobody")
    with pytest.raises(ConfigurationError, match='CREATE ROLE "nobody" LOGIN NOSUPERUSER NOBYPASSRLS'):
        upgrade_postgres(empty_postgres.address(OWNER), nobody, DbConfig())


def test_a_role_that_may_not_make_tables_is_told_so(empty_postgres: PostgresDatabase) -> None:
    other = empty_postgres.create_role("", member_of="pg_monitor")
    with pytest.raises(ConfigurationError, match=f"{SERVICE} of db.owner_url cannot upgrade.*permission denied"):
        upgrade_postgres(empty_postgres.address(SERVICE), empty_postgres.address(other), DbConfig())


async def test_another_service_role_is_granted_by_the_next_upgrade(postgres: PostgresDatabase) -> None:
    role = postgres.create_role("", member_of="pg_monitor")
    upgrade_postgres(postgres.address(OWNER), postgres.address(role), DbConfig())
    stores = await asyncio.to_thread(make_sql_stores, postgres.settings(role=role))
    async with stores.database:
        await stores.tenants.create("other")
        assert len(await stores.tenants.list()) == 2


@contextmanager
def two_upgrades(environ: Mapping[str, str], folder: Path) -> Iterator[list["subprocess.Popen[str]"]]:
    env = {"PATH": os.environ["PATH"], **environ}
    started = [
        subprocess.Popen(COMMAND, env=env, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        os.sched_yield()


def outputs(processes: "list[subprocess.Popen[str]]") -> list[str]:
    return sorted(process.communicate(timeout=LIMIT_SECONDS)[0] for process in processes)


ONE_UPGRADE = [f"schema is at {head_revision()} already\n", f"schema upgraded from nothing to {head_revision()}\n"]


def test_two_processes_upgrade_postgresql_once(empty_postgres: PostgresDatabase, tmp_path: Path) -> None:
    settings = empty_postgres.settings().db
    environ = {f"BAUD_DB__{name.upper()}": getattr(settings, name).get_secret_value() for name in ("url", "owner_url")}
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = %s"
    with psycopg.connect(empty_postgres.url(SUPERUSER), autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", [LOCK_ID])
        with two_upgrades(environ, tmp_path) as processes:
            wait_until(lambda: empty_postgres.query(waiting, LOCK_ID) == [(2,)])
            holder.execute("SELECT pg_advisory_unlock(%s)", [LOCK_ID])
            assert outputs(processes) == ONE_UPGRADE


def test_two_processes_upgrade_a_file_once(tmp_path: Path) -> None:
    lock = tmp_path / "baud.db.lock"
    with lock.open("w") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        with two_upgrades({"BAUD_DATA_DIR": str(tmp_path)}, tmp_path) as processes:
            wait_until(lambda: all(has_open(process.pid, lock) for process in processes))
            fcntl.flock(holder, fcntl.LOCK_UN)
            assert outputs(processes) == ONE_UPGRADE


def test_an_upgrade_of_a_file_waits_for_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, waits = tmp_path / "baud.db", threading.Event()
    monkeypatch.setattr(time, "sleep", lambda _seconds: waits.set())
    with (tmp_path / "baud.db.lock").open("w") as holder, ThreadPoolExecutor(1) as executor:
        fcntl.flock(holder, fcntl.LOCK_EX)
        upgrade = executor.submit(upgrade_sqlite, path)
        assert waits.wait(LIMIT_SECONDS)
        assert not path.exists()
        fcntl.flock(holder, fcntl.LOCK_UN)
        assert upgrade.result(LIMIT_SECONDS) == Upgrade(None, head_revision())


def has_open(pid: int, path: Path) -> bool:
    files = Path(f"/proc/{pid}/fd")
    try:
        return path in [file.readlink() for file in files.iterdir()]
    except FileNotFoundError:  # one that was closed meanwhile
        return False


def test_the_wheel_brings_the_migrations(tmp_path: Path) -> None:
    build = (sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path))
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=LIMIT_SECONDS)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path / "installed")}
    done = subprocess.run(
        COMMAND, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
    )
    assert (done.returncode, done.stdout) == (0, f"schema upgraded from nothing to {head_revision()}\n")


def test_an_upgrade_reports_what_it_did(tmp_path: Path) -> None:
    path = tmp_path / "baud.db"
    assert upgrade_sqlite(path) == Upgrade(None, head_revision())
    assert upgrade_sqlite(path) == Upgrade(head_revision(), head_revision())
