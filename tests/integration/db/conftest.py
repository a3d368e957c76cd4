"""One PostgreSQL server for each session, databases made of a template, and the same stores on SQLite."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from shutil import copy2
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg.sql import SQL, Composed, Identifier, Literal
from pydantic import SecretStr

from shared.config import DbConfig
from shared.contract.principal import DEFAULT_TENANT
from shared.database_url import PostgresAddress, SqliteFile, parse_database_url
from shared.db.schema import head_revision
from shared.db.stores import SqlStores, make_sql_stores
from shared.db.upgrade_postgres import upgrade_postgres
from shared.db.upgrade_sqlite import upgrade_sqlite
from shared.settings.model import Settings
from tests.fakes.fake_clock import FakeClock
from tests.integration.postgres_process import OWNER, PASSWORD, SERVICE, SUPERUSER, PostgresProcess

_TEMPLATE = "migrated"
_CLEAN = SQL(
    "DELETE FROM users; DELETE FROM tenants WHERE id <> {tenant}; UPDATE tenants SET name = 'Default';"
    " UPDATE schema_version SET version_num = {head}"
).format(tenant=DEFAULT_TENANT, head=head_revision())
_numbers = count()


@dataclass(frozen=True, slots=True)
class PostgresDatabase:
    """One database of a server, and its URLs by role."""

    server: PostgresProcess
    name: str

    def url(self, role: str) -> str:
        return self.server.url(role, self.name)

    def settings(self, *, role: str = SERVICE, **db: object) -> Settings:
        urls = {"url": SecretStr(self.url(role)), "owner_url": SecretStr(self.url(OWNER))}
        return Settings(db=DbConfig.model_validate({**urls, **db}))

    def address(self, role: str) -> PostgresAddress:
        address = parse_database_url(self.url(role))
        assert isinstance(address, PostgresAddress)
        return address

    def execute(self, statement: SQL | Composed) -> None:
        """Run a statement as the superuser."""
        self.server.execute(statement, database=self.name)

    def query(self, statement: LiteralString, *values: object) -> list[tuple[Any, ...]]:
        """Return rows that the superuser reads."""
        with psycopg.connect(self.url(SUPERUSER)) as connection:
            return connection.execute(statement, values).fetchall()

    def create_role(self, options: LiteralString, *, member_of: str) -> str:
        """Make a role, and return its name; it lives as long as the server."""
        name = f"role_{next(_numbers)}"
        statement = SQL("CREATE ROLE {} LOGIN PASSWORD {} IN ROLE {}")
        self.execute(statement.format(Identifier(name), Literal(PASSWORD), Identifier(member_of)) + SQL(" " + options))
        return name

    def upgrade(self) -> None:
        upgrade_postgres(self.address(OWNER), self.address(SERVICE), DbConfig())


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresProcess]:
    """A server with a database that has the newest schema, for others to be made of."""
    server = PostgresProcess(tmp_path_factory.mktemp("postgres"))
    server.create()
    try:
        server.create_database(_TEMPLATE)
        PostgresDatabase(server, _TEMPLATE).upgrade()
        yield server
    finally:
        server.stop()


@pytest.fixture
def empty_postgres(postgres_server: PostgresProcess) -> Iterator[PostgresDatabase]:
    """A database without tables."""
    yield from _database(postgres_server, template="template1")


@pytest.fixture
def postgres(postgres_server: PostgresProcess) -> Iterator[PostgresDatabase]:
    """A database with the newest schema, whose tables and roles the test may change."""
    yield from _database(postgres_server, template=_TEMPLATE)


@pytest.fixture(scope="session")
def shared_postgres(postgres_server: PostgresProcess) -> Iterator[PostgresDatabase]:
    """The database of `clean_postgres`, and of tests that leave nothing behind."""
    yield from _database(postgres_server, template=_TEMPLATE)


@pytest.fixture
def clean_postgres(shared_postgres: PostgresDatabase) -> Iterator[PostgresDatabase]:
    """A database with the default tenant and nothing else."""
    yield shared_postgres
    shared_postgres.execute(_CLEAN)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the newest schema."""
    path = tmp_path_factory.mktemp("sqlite") / "baud.db"
    upgrade_sqlite(path)
    return path


def _database(server: PostgresProcess, *, template: str) -> Iterator[PostgresDatabase]:
    database = PostgresDatabase(server, f"test_{next(_numbers)}")
    server.create_database(database.name, template=template)
    yield database
    server.drop_database(database.name)


@pytest.fixture(params=["sqlite", "postgresql"])
def db_settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """Settings of a database with the default tenant and nothing else, on each engine."""
    if request.param == "sqlite":
        copy2(request.getfixturevalue("sqlite_template"), tmp_path)
        yield Settings(data_dir=tmp_path)
        return
    database: PostgresDatabase = request.getfixturevalue("clean_postgres")
    yield database.settings()


@pytest.fixture
def run_sql(db_settings: Settings, request: pytest.FixtureRequest) -> Callable[[LiteralString], None]:
    """Run a statement past all of Baud: in the file, or as the superuser."""

    def run(statement: LiteralString) -> None:
        address = db_settings.database_address
        if isinstance(address, SqliteFile):
            with closing(sqlite3.connect(address.path)) as connection, connection:
                connection.execute(statement)
        else:
            request.getfixturevalue("shared_postgres").execute(SQL(statement))

    return run


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def stores(db_settings: Settings, clock: FakeClock) -> AsyncIterator[SqlStores]:
    """The stores, as a process opens them."""
    stores = await asyncio.to_thread(make_sql_stores, db_settings, clock)
    async with stores.database:
        yield stores
