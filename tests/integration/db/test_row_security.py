"""PostgreSQL keeps tenants apart where a statement forgets to: no WHERE is needed for it."""

import pytest
from sqlalchemy import Table, delete, func, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError

from shared.config import DbConfig
from shared.contract.principal import Scope
from shared.db.postgres import PostgresBackend
from shared.db.records import NewApiKey
from shared.db.stores import SqlStores
from shared.db.tables import TENANT_COLUMN, api_keys, tenant_tables, tenants, users
from shared.settings.model import Settings
from tests.integration.db.conftest import PostgresDatabase
from tests.integration.postgres_process import SERVICE


@pytest.fixture
def db_settings(clean_postgres: PostgresDatabase) -> Settings:
    return clean_postgres.settings()


READABLE = [tenants, users, api_keys]


@pytest.fixture
async def keys(stores: SqlStores) -> dict[str, NewApiKey]:
    """One key of each of two tenants."""
    made = {}
    for tenant in ("red", "blue"):
        await stores.tenants.create(tenant)
        made[tenant] = await stores.api_keys.create(tenant=tenant, user_id=f"{tenant}-user", scopes=(Scope.RUN,))
    return made


async def test_reading_without_a_where_finds_rows_of_the_tenant_alone(
    stores: SqlStores, keys: dict[str, NewApiKey]
) -> None:
    async with stores.database.transaction("red") as connection:
        for table in tenant_tables():
            owner = table.c.id if table is tenants else table.c[TENANT_COLUMN]
            assert set(await connection.scalars(select(owner))) == {"red"}, table.name


async def test_changing_without_a_where_changes_rows_of_the_tenant_alone(
    stores: SqlStores, keys: dict[str, NewApiKey]
) -> None:
    async with stores.database.transaction("red") as connection:
        await connection.execute(update(api_keys).values(name="changed"))
        await connection.execute(update(users).values(name="changed"))
    assert [key.name for key in await stores.api_keys.list("red")] == ["changed"]
    assert [key.name for key in await stores.api_keys.list("blue")] == [""]
    async with stores.database.transaction("red") as connection:
        await connection.execute(delete(tenants))
    assert [tenant.id for tenant in await stores.tenants.list()] == ["blue", "default"]
    assert await stores.api_keys.verify(keys["blue"].text) == (await stores.api_keys.list("blue"))[0]


async def test_a_row_of_another_tenant_cannot_be_written(stores: SqlStores, keys: dict[str, NewApiKey]) -> None:
    user = {"tenant": "blue", "id": "spy", "name": "spy", "created_at": keys["blue"].key.created_at}
    with pytest.raises(ProgrammingError, match="row-level security"):
        async with stores.database.transaction("red") as connection:
            await connection.execute(insert(users).values(**user))
    with pytest.raises(ProgrammingError, match="row-level security"):
        async with stores.database.transaction("red") as connection:
            await connection.execute(update(users).values(tenant="blue"))
    with pytest.raises(ProgrammingError, match="row-level security"):
        async with stores.database.transaction("red") as connection:
            await connection.execute(insert(tenants).values(id="green", name="g", created_at=user["created_at"]))


async def test_a_key_cannot_belong_to_a_user_of_another_tenant(stores: SqlStores, keys: dict[str, NewApiKey]) -> None:
    with pytest.raises(IntegrityError, match="fk_api_keys_users"):
        async with stores.database.transaction("red") as connection:
            await connection.execute(update(api_keys).values(user_id="blue-user"))


async def test_no_tenant_is_left_over_on_a_connection_of_the_pool(
    stores: SqlStores, keys: dict[str, NewApiKey]
) -> None:
    async with stores.database.transaction("red") as connection:
        process = await connection.scalar(select(func.pg_backend_pid()))
        assert set(await connection.scalars(select(users.c.tenant))) == {"red"}
    async with stores.database.system_transaction() as connection:
        assert await connection.scalar(select(func.pg_backend_pid())) == process  # the same one, or nothing is shown
        assert (await connection.execute(select(users))).all() == []
        assert await connection.scalar(select(func.current_setting("baud.tenant", True))) == ""


async def test_the_settings_of_a_transaction_end_with_it(shared_postgres: PostgresDatabase) -> None:
    names = ("baud.tenant", "baud.system", "baud.digest", "statement_timeout")
    settings = select(*(func.nullif(func.current_setting(name, True), "") for name in names))
    backend = PostgresBackend(shared_postgres.address(SERVICE), DbConfig(pool_size=1, max_overflow=0))

    async def left_over() -> object:
        async with backend._engine.connect() as connection:  # the same one, as whoever forgot the settings gets it
            return (await connection.execute(settings)).one()

    try:
        async with backend.transaction(tenant="red", read_only=False) as connection:
            assert (await connection.execute(settings)).one() == ("red", None, None, "10s")
        assert await left_over() == (None, None, None, "0")
        async with backend.system_transaction(digest=b"\1") as connection:
            assert (await connection.execute(settings)).one() == (None, "on", "01", "10s")
        assert await left_over() == (None, None, None, "0")
    finally:
        await backend.aclose()


async def test_a_system_transaction_reads_tenants_and_what_has_the_digest(
    stores: SqlStores, keys: dict[str, NewApiKey]
) -> None:
    async with stores.database.transaction("blue") as connection:
        digest = await connection.scalar(select(api_keys.c.hash))
    assert digest is not None
    async with stores.database.system_transaction(digest=digest) as connection:
        assert set(await connection.scalars(select(tenants.c.id))) == {"red", "blue", "default"}
        assert list(await connection.scalars(select(api_keys.c.id))) == [keys["blue"].key.id]
        assert list(await connection.scalars(select(users.c.id))) == []
    async with stores.database.system_transaction() as connection:
        assert list(await connection.scalars(select(api_keys.c.id))) == []
    async with stores.database.system_transaction(digest=b"\0" * 32) as connection:
        assert list(await connection.scalars(select(api_keys.c.id))) == []


@pytest.mark.parametrize("table", READABLE, ids=lambda table: table.name)
async def test_a_system_transaction_changes_nothing(
    stores: SqlStores, keys: dict[str, NewApiKey], table: Table
) -> None:
    with pytest.raises(DBAPIError, match="read-only transaction"):
        async with stores.database.system_transaction() as connection:
            await connection.execute(delete(table))
    assert len(await stores.tenants.list()) == 3


async def test_the_policies_alone_keep_a_system_transaction_from_changing_anything(
    stores: SqlStores, keys: dict[str, NewApiKey]
) -> None:
    async with stores.database.transaction("red") as connection:
        settings = {"baud.tenant": "", "baud.system": "on", "baud.digest": "00"}
        await connection.execute(select(*(func.set_config(name, value, True) for name, value in settings.items())))
        for table in READABLE:
            assert (await connection.execute(update(table).values(name="changed"))).rowcount == 0
    assert {tenant.name for tenant in await stores.tenants.list()} == {"red", "blue", "Default"}
