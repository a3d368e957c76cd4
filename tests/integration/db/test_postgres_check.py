"""A PostgreSQL database is served by a role that policies bind, or not at all."""

import asyncio
from typing import LiteralString

import pytest
from psycopg.sql import SQL

from shared.db.stores import make_sql_stores
from shared.db.tables import TENANT_COLUMN
from shared.errors import ConfigurationError, SchemaBehindError
from tests.integration.db.conftest import PostgresDatabase
from tests.integration.postgres_process import OWNER, SERVICE, SUPERUSER

_UNPROTECTED = """
SELECT columns.table_name FROM information_schema.columns JOIN pg_class ON pg_class.oid = to_regclass(table_name)
WHERE table_schema = 'public' AND (column_name = %s OR (table_name, column_name) = ('tenants', 'id'))
AND NOT (relrowsecurity AND relforcerowsecurity AND EXISTS (SELECT FROM pg_policy WHERE polrelid = pg_class.oid))
"""


async def check(postgres: PostgresDatabase, role: str) -> None:
    stores = await asyncio.to_thread(make_sql_stores, postgres.settings(role=role))
    async with stores.database as database:
        await database.check()


async def test_every_table_with_a_tenant_has_forced_row_security_and_a_policy(postgres: PostgresDatabase) -> None:
    assert postgres.query(_UNPROTECTED, TENANT_COLUMN) == []
    postgres.execute(SQL("CREATE TABLE forgotten (id int, tenant text)"))
    assert postgres.query(_UNPROTECTED, TENANT_COLUMN) == [("forgotten",)]


async def test_the_service_role_is_served(postgres: PostgresDatabase) -> None:
    await check(postgres, SERVICE)


async def test_a_superuser_is_refused(postgres: PostgresDatabase) -> None:
    with pytest.raises(ConfigurationError, match="the role postgres, which is a superuser"):
        await check(postgres, SUPERUSER)


async def test_the_owner_of_the_tables_is_refused(postgres: PostgresDatabase) -> None:
    with pytest.raises(ConfigurationError, match="a role that owns the table api_keys"):
        await check(postgres, OWNER)


@pytest.mark.parametrize(
    ("options", "member_of", "reason"),
    [
        ("BYPASSRLS", SERVICE, r"the role role_\d+, which has BYPASSRLS"),
        ("SUPERUSER", SERVICE, r"the role role_\d+, which is a superuser"),
        ("NOINHERIT", OWNER, "a role that owns the table api_keys"),
    ],
    ids=["bypassing", "superuser", "may-become-the-owner"],
)
async def test_a_role_that_no_policy_binds_is_refused(
    postgres: PostgresDatabase, options: LiteralString, member_of: str, reason: str
) -> None:
    role = postgres.create_role(options, member_of=member_of)
    if member_of == OWNER:
        postgres.execute(SQL("GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC"))
    with pytest.raises(ConfigurationError, match=reason) as refusal:
        await check(postgres, role)
    assert "CREATE ROLE" in refusal.value.message


async def test_a_member_of_a_role_that_no_policy_binds_is_refused(postgres: PostgresDatabase) -> None:
    bypassing = postgres.create_role("BYPASSRLS", member_of=SERVICE)
    role = postgres.create_role("NOINHERIT", member_of=bypassing)
    with pytest.raises(ConfigurationError, match=f"the role {role}, a member of {bypassing}, which has BYPASSRLS"):
        await check(postgres, role)


@pytest.mark.parametrize("table", ["users", "tenants"])
async def test_a_table_without_forced_row_security_is_refused(postgres: PostgresDatabase, table: LiteralString) -> None:
    postgres.execute(SQL("ALTER TABLE {} NO FORCE ROW LEVEL SECURITY").format(SQL(table)))
    with pytest.raises(ConfigurationError, match=f"The table {table} has no forced row-level security"):
        await check(postgres, SERVICE)


async def test_a_role_that_was_granted_nothing_is_told_to_upgrade(postgres: PostgresDatabase) -> None:
    role = postgres.create_role("", member_of="pg_monitor")
    with pytest.raises(SchemaBehindError, match="baud db upgrade, which also grants"):
        await check(postgres, role)


async def test_nothing_is_read_or_written_before_the_check_has_passed(postgres: PostgresDatabase) -> None:
    stores = await asyncio.to_thread(make_sql_stores, postgres.settings(role=SUPERUSER))
    async with stores.database:
        with pytest.raises(ConfigurationError, match="superuser"):
            await stores.tenants.list()
        with pytest.raises(ConfigurationError, match="superuser"):
            await stores.tenants.create("other")
    assert postgres.query("SELECT id FROM tenants") == [("default",)]
