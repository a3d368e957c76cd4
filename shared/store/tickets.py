"""Stream tickets: whose each is, and for which thread. They are found by digest; their texts are not stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import TypeAdapter, ValidationError

from shared.contract.principal import Principal
from shared.keys import stream_ticket, user_tickets
from shared.store.connection import StoreConnection
from shared.store.redis.errors import redis_errors
from shared.store.redis.scripts import ScriptCall

_PRINCIPAL: Final = TypeAdapter(Principal)


@dataclass(frozen=True, slots=True)
class TicketKey:
    """A ticket by its digest, and the thread that it is for."""

    digest: str
    thread_id: str


@dataclass(frozen=True, slots=True)
class TicketLimits:
    """How long a ticket lives: until its first use, after a use, and in all; and how many a user may have."""

    unused_seconds: float
    idle_seconds: float
    total_seconds: float
    most: int


class TicketStore:
    """Writes and reads stream tickets. Every method raises StoreUnavailableError when Redis does not answer."""

    def __init__(self, connection: StoreConnection, limits: TicketLimits) -> None:
        self._connection = connection
        self._limits = limits

    async def issue(self, key: TicketKey, principal: Principal, issuer: Principal, *, total_seconds: float) -> float:
        """Store a ticket and remove the oldest of its issuer that are too many.

        It ends after `total_seconds`, or the limit if that is less. Returns the seconds until it has to be used.
        """
        total = min(total_seconds, self._limits.total_seconds)
        unused = min(total, self._limits.unused_seconds)
        listed = user_tickets(issuer.tenant, issuer.user)
        principal_json = _PRINCIPAL.dump_json(principal)
        too_many, _ = await self._connection.call_many(
            [
                ScriptCall("list_ticket", [listed], [key.digest, self._limits.most, _ms(self._limits.total_seconds)]),
                ScriptCall(
                    "issue_ticket",
                    [stream_ticket(key.digest)],
                    [key.thread_id, principal_json, _ms(unused), _ms(total)],
                ),
            ]
        )
        if too_many:
            await self._remove(listed, too_many)
        return unused

    async def use(self, key: TicketKey) -> Principal | None:
        """Return whose ticket this is; None for one that is unknown, has expired or is for another thread."""
        found = await self._connection.call("use_ticket", [stream_ticket(key.digest)], self._use(key))
        try:
            return _PRINCIPAL.validate_json(found) if found else None
        except ValidationError:
            return None

    async def renew(self, keys: Sequence[TicketKey]) -> None:
        """Count tickets as used now; those that have ended stay so."""
        await self._connection.call_each(
            [ScriptCall("use_ticket", [stream_ticket(key.digest)], self._use(key)) for key in keys]
        )

    def _use(self, key: TicketKey) -> list[str | int]:
        return [key.thread_id, _ms(self._limits.idle_seconds)]

    async def _remove(self, listed: str, digests: Sequence[bytes]) -> None:
        with redis_errors():
            pipe = self._connection.redis.pipeline(transaction=False)
            for digest in digests:
                pipe.delete(stream_ticket(digest.decode()))
            pipe.zrem(listed, *digests)
            await pipe.execute()


def _ms(seconds: float) -> int:
    return max(1, int(seconds * 1000))
