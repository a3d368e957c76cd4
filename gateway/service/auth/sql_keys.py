"""The API keys as the gateway asks for them: whose one is, and which are not valid any more."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, Protocol

from shared.contract.principal import Principal, Scope
from shared.db.records import ApiKey, NewApiKey
from shared.errors import BaudError

_CREDENTIAL: Final = "key:"  # how the credential of such a principal begins, before the key's id

_log = logging.getLogger(__name__)


class ApiKeys(Protocol):
    """The store of API keys; its class is not named here, since no mode but those with keys loads an SQL library."""

    async def verify(self, text: str) -> ApiKey:
        """Return the valid key with this text; raises InvalidCredentialError."""

    async def note_use(self, key: ApiKey) -> ApiKey:
        """Write the time of a use."""

    async def create(
        self,
        *,
        tenant: str,
        user_id: str,
        scopes: Collection[Scope],
        name: str = "",
        expires_at: datetime | None = None,
    ) -> NewApiKey:
        """Make a key of a user; raises InvalidRequestError, TenantNotFoundError, UserDisabledError."""

    async def list(self, tenant: str, *, user_id: str | None = None) -> Sequence[ApiKey]:
        """Return keys of a tenant, newest first."""

    async def revoke(self, tenant: str, name: str) -> Sequence[ApiKey]:
        """Revoke keys by id or prefix; raises ApiKeyNotFoundError."""

    async def valid_ids(self, tenant: str, ids: Collection[str]) -> Collection[str]:
        """Return those of these keys of a tenant that are valid."""


class SqlKeys:
    """The API keys in SQL. Every method raises DatabaseUnavailableError."""

    def __init__(self, keys: ApiKeys) -> None:
        self._keys = keys
        self._notes: set[asyncio.Task[None]] = set()

    async def principal_of(self, text: str) -> Principal:
        """Return whose key this is; raises InvalidCredentialError."""
        key = await self._keys.verify(text)
        note = asyncio.create_task(self._note_use(key), name="API key used")  # no request waits for it
        self._notes.add(note)
        note.add_done_callback(self._notes.discard)
        return key.principal

    async def find_invalid(self, principals: Collection[Principal]) -> Collection[Principal]:
        """Return those whose keys are revoked, have expired, are gone, or are of a disabled user."""
        # One key has several principals: its own, and those of the tickets that were issued for it.
        by_tenant: dict[str, dict[str, list[Principal]]] = defaultdict(lambda: defaultdict(list))
        for principal in principals:
            kind, separator, key_id = principal.credential.partition(":")
            if f"{kind}{separator}" == _CREDENTIAL:
                by_tenant[principal.tenant][key_id].append(principal)
        invalid: list[Principal] = []
        for tenant, by_id in by_tenant.items():
            valid = await self._keys.valid_ids(tenant, by_id.keys())
            invalid += [each for key_id, found in by_id.items() if key_id not in valid for each in found]
        return invalid

    async def close(self) -> None:
        """Wait for what is being written."""
        if self._notes:
            await asyncio.wait(self._notes)

    async def _note_use(self, key: ApiKey) -> None:
        try:
            await self._keys.note_use(key)
        except BaudError as error:
            _log.warning("last use of API key %s not written: %s", key.id, error.message)
