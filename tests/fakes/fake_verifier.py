"""A fake of the verifier of credentials, and of the look-up of those that were revoked: a dictionary of keys."""

from collections.abc import Collection

from shared.contract.principal import Principal, Scope
from shared.errors import InvalidCredentialError

_WORK = frozenset({Scope.READ, Scope.RUN})


class FakeVerifier:
    """Knows the keys that it has given out and not revoked."""

    def __init__(self) -> None:
        self._keys: dict[str, Principal] = {}
        self._given = 0

    def give_key(self, user: str, *, scopes: frozenset[Scope] = _WORK, tenant: str = "acme") -> str:
        """Return a new key of a user."""
        self._given += 1
        key = f"baud_{user}-{self._given}"
        self._keys[key] = Principal(tenant, user, scopes, f"key:{self._given}")
        return key

    def revoke(self, key: str) -> None:
        """Accept a key no longer; open streams end at the next check."""
        del self._keys[key]

    async def verify(self, credential: str) -> Principal:
        if credential not in self._keys:
            raise InvalidCredentialError
        return self._keys[credential]

    async def find_invalid(self, principals: Collection[Principal]) -> Collection[Principal]:
        return [principal for principal in principals if principal not in self._keys.values()]
