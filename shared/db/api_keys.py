"""API keys: made, listed, revoked, and verified by the hash of their text, which is all that is stored of it."""

import hashlib
import re
import secrets
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row, insert, or_, select, update

from shared.clock import SystemClock
from shared.contract.principal import Scope
from shared.db.database import Database
from shared.db.insert import insert_if_absent
from shared.db.records import ApiKey, NewApiKey
from shared.db.tables import ID_CHARS, api_keys, tenants, users
from shared.errors import (
    ApiKeyNotFoundError,
    InvalidCredentialError,
    InvalidRequestError,
    TenantNotFoundError,
    UserDisabledError,
)
from shared.ids import is_plain_text

_SECRET_BYTES: Final = 32
_PREFIX_BYTES: Final = 4
_ID_BYTES: Final = 8
_TEXT: Final = re.compile(r"baud_[0-9a-f]{8}_[A-Za-z0-9_-]{43}")
_NAME_CHARS: Final = 200
_IDS_AT_ONCE: Final = 500  # in one statement, which both databases have a limit for
_USE_INTERVAL: Final = timedelta(minutes=1)
_COLUMNS: Final = tuple(column for column in api_keys.c if column.name != "hash")


class ApiKeyStore:
    """The API keys of all tenants."""

    def __init__(self, database: Database, clock: SystemClock) -> None:
        self._database = database
        self._clock = clock

    async def create(
        self,
        *,
        tenant: str,
        user_id: str,
        scopes: Collection[Scope],
        name: str = "",
        expires_at: datetime | None = None,
    ) -> NewApiKey:
        """Make a key of a user, who is made too if need be; nobody can read its text again.

        Raises InvalidRequestError, TenantNotFoundError, UserDisabledError.
        """
        now = self._clock.now()
        _check(user_id, scopes, name, expires_at, now)
        prefix = f"baud_{secrets.token_hex(_PREFIX_BYTES)}"
        text = f"{prefix}_{secrets.token_urlsafe(_SECRET_BYTES)}"
        key = ApiKey(
            id=secrets.token_hex(_ID_BYTES),
            tenant=tenant,
            user_id=user_id,
            prefix=prefix,
            scopes=frozenset(scopes),
            name=name,
            created_at=now,
            expires_at=expires_at,
            last_used_at=None,
            revoked_at=None,
        )
        async with self._database.transaction(tenant) as connection:
            if await connection.scalar(select(tenants.c.id).where(tenants.c.id == tenant)) is None:
                raise TenantNotFoundError
            user = {"tenant": tenant, "id": user_id, "name": user_id, "created_at": now}
            is_new_user = await insert_if_absent(connection, users, user)
            if await connection.scalar(_disabled_at(key)) is not None:
                raise UserDisabledError
            await connection.execute(insert(api_keys).values(**_values(key), hash=_digest(text)))
        return NewApiKey(key, text, is_new_user)

    async def list(self, tenant: str, *, user_id: str | None = None, limit: int = 1000) -> tuple[ApiKey, ...]:
        """Return keys of a tenant, of one user of it if named, newest first."""
        if user_id is not None and not is_plain_text(user_id, max_chars=ID_CHARS):
            return ()
        query = select(*_COLUMNS).where(api_keys.c.tenant == tenant)
        if user_id is not None:
            query = query.where(api_keys.c.user_id == user_id)
        query = query.order_by(api_keys.c.created_at.desc(), api_keys.c.id).limit(limit)
        async with self._database.transaction(tenant, read_only=True) as connection:
            return tuple(_key(row) for row in (await connection.execute(query)).all())

    async def revoke(self, tenant: str, name: str) -> tuple[ApiKey, ...]:
        """Revoke the key with this id, or those whose text begins with this prefix; a revoked one stays as it is.

        Raises ApiKeyNotFoundError.
        """
        if not is_plain_text(name, max_chars=ID_CHARS):
            raise ApiKeyNotFoundError
        chosen = (api_keys.c.tenant == tenant) & or_(api_keys.c.id == name, api_keys.c.prefix == name)
        revoke = update(api_keys).where(chosen, api_keys.c.revoked_at.is_(None)).values(revoked_at=self._clock.now())
        async with self._database.transaction(tenant) as connection:
            await connection.execute(revoke)
            rows = (await connection.execute(select(*_COLUMNS).where(chosen))).all()
        if not rows:
            raise ApiKeyNotFoundError
        return tuple(_key(row) for row in rows)

    async def verify(self, text: str) -> ApiKey:
        """Return the valid key with this text. Raises InvalidCredentialError, whose sentence its holder may read.

        One row is looked up by an index, whatever is presented; what is no key at all costs no round trip.
        """
        if _TEXT.fullmatch(text) is None:
            raise InvalidCredentialError("This is no API key of Baud: those begin with baud_ and have 57 characters.")
        digest = _digest(text)
        async with self._database.system_transaction(digest=digest) as connection:
            row = (await connection.execute(select(*_COLUMNS).where(api_keys.c.hash == digest))).one_or_none()
        if row is None:
            raise InvalidCredentialError("There is no such API key. Get a new one.")
        key = _key(row)
        if key.revoked_at is not None:
            raise InvalidCredentialError("The API key was revoked. Get a new one.")
        if key.is_expired(self._clock.now()):
            raise InvalidCredentialError("The API key has expired. Get a new one.")
        async with self._database.transaction(key.tenant, read_only=True) as connection:
            if await connection.scalar(_disabled_at(key)) is not None:
                raise InvalidCredentialError("The user of this API key is disabled.")
        return key

    async def valid_ids(self, tenant: str, ids: Collection[str]) -> frozenset[str]:
        """Return those of these keys that are not revoked, have not expired, and whose users are not disabled."""
        usable = api_keys.c.revoked_at.is_(None) & or_(
            api_keys.c.expires_at.is_(None), api_keys.c.expires_at > self._clock.now()
        )
        of_active_users = users.c.disabled_at.is_(None)
        query = select(api_keys.c.id).join(
            users, (users.c.tenant == api_keys.c.tenant) & (users.c.id == api_keys.c.user_id)
        )
        found: set[str] = set()
        async with self._database.transaction(tenant, read_only=True) as connection:
            for some in _batched(sorted(ids)):
                chosen = query.where(api_keys.c.tenant == tenant, api_keys.c.id.in_(some), usable, of_active_users)
                found.update(await connection.scalars(chosen))
        return frozenset(found)

    async def note_use(self, key: ApiKey) -> ApiKey:
        """Write the time of a use, at most once a minute for each key; return the key as it is then."""
        now = self._clock.now()
        if key.last_used_at is not None and now - key.last_used_at < _USE_INTERVAL:
            return key
        last = api_keys.c.last_used_at
        is_due = last.is_(None) | (last <= now - _USE_INTERVAL)
        note = update(api_keys).where(api_keys.c.tenant == key.tenant, api_keys.c.id == key.id, is_due)
        async with self._database.transaction(key.tenant) as connection:
            await connection.execute(note.values(last_used_at=now))
        return replace(key, last_used_at=now)


def _check(user_id: str, scopes: Collection[Scope], name: str, expires_at: datetime | None, now: datetime) -> None:
    if not is_plain_text(user_id, max_chars=ID_CHARS):
        raise InvalidRequestError(f"The id of a user has 1 to {ID_CHARS} printable characters.")
    if not scopes:
        raise InvalidRequestError(f"A key needs a scope: {', '.join(Scope)}.")
    if name and not is_plain_text(name, max_chars=_NAME_CHARS):
        raise InvalidRequestError(f"The name of a key has at most {_NAME_CHARS} printable characters.")
    if expires_at is not None and expires_at <= now:
        raise InvalidRequestError("The key would have expired already.")


def _batched(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + _IDS_AT_ONCE] for start in range(0, len(ids), _IDS_AT_ONCE))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _disabled_at(key: ApiKey) -> Any:
    return select(users.c.disabled_at).where(users.c.tenant == key.tenant, users.c.id == key.user_id)


def _values(key: ApiKey) -> dict[str, object]:
    values = {column.name: getattr(key, column.name) for column in _COLUMNS}
    return {**values, "scopes": " ".join(sorted(key.scopes))}


def _key(row: Row[*tuple[Any, ...]]) -> ApiKey:
    # A scope of a later version means nothing here, and gives nothing.
    scopes = frozenset(Scope(scope) for scope in row.scopes.split() if scope in set(Scope))
    return ApiKey(**{**row._asdict(), "scopes": scopes})
