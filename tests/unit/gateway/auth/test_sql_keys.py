"""Which of the principals of open streams have keys that are not valid any more."""

from collections.abc import Collection
from typing import cast

from gateway.service.auth.sql_keys import ApiKeys, SqlKeys
from shared.contract.principal import Principal, Scope


class _Keys:
    """Knows valid ids; nothing else is asked for here."""

    def __init__(self, *valid: str) -> None:
        self.valid = frozenset(valid)
        self.asked: list[tuple[str, set[str]]] = []

    async def valid_ids(self, tenant: str, ids: Collection[str]) -> Collection[str]:
        self.asked.append((tenant, set(ids)))
        return self.valid & set(ids)


def _principal(tenant: str, credential: str, *scopes: Scope) -> Principal:
    return Principal(tenant, "alice", frozenset(scopes), credential)


async def test_a_revoked_key_is_found_for_every_principal_that_came_by_it() -> None:
    whole = _principal("acme", "key:gone", Scope.READ, Scope.RUN)
    by_ticket = _principal("acme", "key:gone", Scope.READ)
    others = [_principal("acme", "key:kept"), _principal("evil", "key:kept"), _principal("acme", "jwt:issuer")]
    keys = _Keys("kept")
    found = await SqlKeys(cast("ApiKeys", keys)).find_invalid([whole, by_ticket, *others])
    assert set(found) == {whole, by_ticket}
    assert keys.asked == [("acme", {"gone", "kept"}), ("evil", {"kept"})]
