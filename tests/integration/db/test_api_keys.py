"""API keys on both engines: made once, verified by their text, revoked, and never stored in plain text."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import update

from shared.contract.principal import Principal, Scope
from shared.db.records import NewApiKey
from shared.db.stores import SqlStores
from shared.db.tables import users
from shared.errors import (
    ApiKeyNotFoundError,
    InvalidCredentialError,
    InvalidRequestError,
    TenantNotFoundError,
    UserDisabledError,
)
from tests.fakes.fake_clock import FakeClock

SCOPES = frozenset({Scope.RUN, Scope.READ})
UNKNOWN = f"baud_01234567_{'x' * 43}"


def contents(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.glob("baud.db*"))


async def make_key(stores: SqlStores, *, tenant: str = "default", user: str = "ann", **options: object) -> NewApiKey:
    return await stores.api_keys.create(tenant=tenant, user_id=user, scopes=SCOPES, **options)  # type: ignore[arg-type]


async def test_a_key_is_verified_by_its_text_and_names_its_principal(stores: SqlStores) -> None:
    new = await make_key(stores, name="laptop")
    key = await stores.api_keys.verify(new.text)
    assert key == new.key
    assert key.principal == Principal("default", "ann", SCOPES, f"key:{key.id}", None)
    assert new.text.startswith(f"{key.prefix}_")
    assert (len(new.text), new.text in repr(new)) == (57, False)


async def test_two_keys_have_nothing_in_common(stores: SqlStores) -> None:
    first, second = [await make_key(stores) for _ in range(2)]
    assert (first.is_new_user, second.is_new_user) == (True, False)
    assert first.text[14:] != second.text[14:]
    assert {key.id for key in await stores.api_keys.list("default")} == {first.key.id, second.key.id}


@pytest.mark.parametrize(
    "text",
    [UNKNOWN, "", "baud_", "Bearer x", UNKNOWN + "x", UNKNOWN + "\n", "baud_01234567_" + "é" * 43, "x" * 1_000_000],
    ids=["unknown", "empty", "prefix", "bearer", "longer", "newline", "letters", "huge"],
)
async def test_another_text_is_no_key(stores: SqlStores, text: str) -> None:
    await make_key(stores)
    with pytest.raises(InvalidCredentialError):
        await stores.api_keys.verify(text)


async def test_a_revoked_key_is_refused_and_stays_in_the_list(stores: SqlStores, clock: FakeClock) -> None:
    by_id, by_prefix, kept = [await make_key(stores) for _ in range(3)]
    await stores.api_keys.revoke("default", by_id.key.id)
    await stores.api_keys.revoke("default", by_prefix.key.prefix)
    clock.advance(5)
    (again,) = await stores.api_keys.revoke("default", by_id.key.id)
    assert again.revoked_at == clock.now() - timedelta(seconds=5)
    for revoked in (by_id, by_prefix):
        with pytest.raises(InvalidCredentialError, match="revoked"):
            await stores.api_keys.verify(revoked.text)
    assert await stores.api_keys.verify(kept.text) == kept.key
    assert len(await stores.api_keys.list("default")) == 3


async def test_a_key_is_refused_once_its_time_is_over(stores: SqlStores, clock: FakeClock) -> None:
    new = await make_key(stores, expires_at=clock.now() + timedelta(days=30))
    clock.advance(30 * 86_400 - 1)
    key = await stores.api_keys.verify(new.text)
    assert key.principal.expires_at == (clock.now() + timedelta(seconds=1)).timestamp()
    clock.advance(1)
    with pytest.raises(InvalidCredentialError, match="expired"):
        await stores.api_keys.verify(new.text)


async def test_a_disabled_user_has_no_keys_and_gets_none(stores: SqlStores, clock: FakeClock) -> None:
    new = await make_key(stores)
    async with stores.database.transaction("default") as connection:
        await connection.execute(update(users).where(users.c.id == "ann").values(disabled_at=clock.now()))
    with pytest.raises(InvalidCredentialError, match="disabled"):
        await stores.api_keys.verify(new.text)
    with pytest.raises(UserDisabledError):
        await make_key(stores)
    assert len(await stores.api_keys.list("default")) == 1


async def test_the_last_use_is_written_once_a_minute(stores: SqlStores, clock: FakeClock) -> None:
    new = await make_key(stores)
    first = clock.now()
    key = await stores.api_keys.note_use(new.key)
    clock.advance(59)
    assert await stores.api_keys.note_use(key) is key
    # Another gateway, whose copy of the key is older, finds that it was written already.
    await stores.api_keys.note_use(new.key)
    assert [key.last_used_at for key in await stores.api_keys.list("default")] == [first]
    clock.advance(1)
    await stores.api_keys.note_use(key)
    assert [key.last_used_at for key in await stores.api_keys.list("default")] == [clock.now()]


async def test_keys_are_listed_newest_first_of_one_user_if_asked(stores: SqlStores, clock: FakeClock) -> None:
    made = []
    for user in ("ann", "ben", "ann"):
        made.append((await make_key(stores, user=user)).key)
        clock.advance(1)
    assert list(await stores.api_keys.list("default")) == made[::-1]
    assert list(await stores.api_keys.list("default", user_id="ann")) == [made[2], made[0]]
    assert await stores.api_keys.list("default", user_id="nobody\0") == ()
    assert list(await stores.api_keys.list("default", limit=1)) == [made[2]]


async def test_a_tenant_sees_and_revokes_its_own_keys_only(stores: SqlStores) -> None:
    await stores.tenants.create("other")
    ours, theirs = await make_key(stores), await make_key(stores, tenant="other")
    assert await stores.api_keys.list("other") == (theirs.key,)
    for name in (ours.key.id, ours.key.prefix, "no\0key", ""):
        with pytest.raises(ApiKeyNotFoundError):
            await stores.api_keys.revoke("other", name)
    assert (await stores.api_keys.verify(ours.text)).tenant == "default"
    assert (await stores.api_keys.verify(theirs.text)).tenant == "other"


@pytest.mark.parametrize("tenant", ["unknown", "", "a:b", "x" * 300, "nul\0"])
async def test_a_tenant_that_there_is_not_gets_no_key(stores: SqlStores, tenant: str) -> None:
    with pytest.raises(TenantNotFoundError):
        await make_key(stores, tenant=tenant)
    async with stores.database.transaction("default") as connection:
        assert (await connection.execute(users.select())).all() == []


@pytest.mark.parametrize(
    "options",
    [
        {"user_id": ""},
        {"user_id": "x" * 256},
        {"user_id": "two\nlines"},
        {"scopes": ()},
        {"name": "x" * 201},
        {"expires_at": datetime(2020, 1, 1, tzinfo=UTC)},
    ],
    ids=["no-user", "long-user", "lines", "no-scope", "long-name", "past"],
)
async def test_bad_values_of_a_new_key_are_refused(stores: SqlStores, options: dict[str, object]) -> None:
    values = {"tenant": "default", "user_id": "ann", "scopes": SCOPES, **options}
    with pytest.raises(InvalidRequestError):
        await stores.api_keys.create(**values)  # type: ignore[arg-type]


async def test_times_come_back_in_utc_whatever_zone_they_were_given_in(stores: SqlStores, clock: FakeClock) -> None:
    given = (clock.now() + timedelta(days=1, microseconds=7)).astimezone(timezone(timedelta(hours=5, minutes=30)))
    await make_key(stores, expires_at=given)
    (key,) = await stores.api_keys.list("default")
    assert key.expires_at is not None
    assert (key.expires_at, key.expires_at.tzinfo, key.created_at.tzinfo) == (given, UTC, UTC)


async def test_a_scope_of_a_later_version_gives_nothing(stores: SqlStores) -> None:
    new = await make_key(stores)
    async with stores.database.transaction("default") as connection:
        await connection.exec_driver_sql("UPDATE api_keys SET scopes = 'read everything'")
    assert (await stores.api_keys.verify(new.text)).scopes == {Scope.READ}


@pytest.mark.parametrize("db_settings", ["sqlite"], indirect=True)
async def test_the_text_of_a_key_is_in_no_file(stores: SqlStores, tmp_path: Path) -> None:
    new = await make_key(stores)
    await stores.api_keys.note_use(await stores.api_keys.verify(new.text))
    stored = contents(tmp_path)
    assert new.key.prefix.encode() in stored  # so the row is in what is looked at
    assert new.text[14:].encode() not in stored
