"""Verifies API keys: by the database, whose answers are remembered for a few seconds, and longer while it is away."""

import asyncio
import hashlib
import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, Protocol

from shared.clock import SystemClock
from shared.contract.principal import Principal
from shared.errors import DatabaseUnavailableError, InvalidCredentialError

# A revoked key is refused by every gateway after this time and a look-up, five seconds in all.
_FRESH_SECONDS: Final = 4.0
# For how long a key that was valid is accepted while the database cannot be asked.
_STALE_SECONDS: Final = 60.0
_MAX_KEYS: Final = 10_000

_log = logging.getLogger(__name__)


class KeyLookup(Protocol):
    """Knows the API keys."""

    async def principal_of(self, text: str) -> Principal:
        """Return whose key this is; raises InvalidCredentialError, DatabaseUnavailableError."""


@dataclass(frozen=True, slots=True)
class _Verified:
    principal: Principal
    at: float


class ApiKeyVerifier:
    """Verifies API keys. What is remembered is found by the SHA-256 of a key; the least recently used go first."""

    def __init__(self, keys: KeyLookup, clock: SystemClock, *, max_keys: int = _MAX_KEYS) -> None:
        self._keys = keys
        self._clock = clock
        self._max_keys = max_keys
        self._verified: OrderedDict[bytes, _Verified] = OrderedDict()
        self._lookups: dict[bytes, asyncio.Task[Principal]] = {}
        self._is_away = False

    async def verify(self, credential: str) -> Principal:
        """Return whose key it is.

        Raises InvalidCredentialError, and DatabaseUnavailableError for a key that was not seen valid within a minute.
        """
        digest = hashlib.sha256(credential.encode(errors="replace")).digest()
        known = self._verified.get(digest)
        if known is not None and self._clock.monotonic() - known.at < _FRESH_SECONDS:
            self._verified.move_to_end(digest)
            return self._unless_expired(known.principal)
        try:
            return await self._look_up(digest, credential)
        except DatabaseUnavailableError:
            if known is None or self._clock.monotonic() - known.at >= _STALE_SECONDS:
                raise
            self._note_away()
            return self._unless_expired(known.principal)

    async def _look_up(self, digest: bytes, credential: str) -> Principal:
        """Ask the database, once for all requests with this key."""
        lookup = self._lookups.get(digest)
        if lookup is None:
            lookup = self._lookups[digest] = asyncio.create_task(self._ask(digest, credential), name="API key")
            lookup.add_done_callback(lambda done: self._forget_lookup(digest, done))
        return await asyncio.shield(lookup)  # a request that is cancelled does not cancel the others

    async def _ask(self, digest: bytes, credential: str) -> Principal:
        try:
            principal = await self._keys.principal_of(credential)
        except InvalidCredentialError:
            self._verified.pop(digest, None)
            raise
        self._is_away = False
        self._verified[digest] = _Verified(principal, self._clock.monotonic())
        self._verified.move_to_end(digest)
        if len(self._verified) > self._max_keys:
            self._verified.popitem(last=False)
        return principal

    def _forget_lookup(self, digest: bytes, done: asyncio.Task[Principal]) -> None:
        del self._lookups[digest]
        if not done.cancelled():
            done.exception()  # mark it as retrieved; callers get it from the task

    def _unless_expired(self, principal: Principal) -> Principal:
        if principal.expires_at is not None and principal.expires_at <= self._clock.now().timestamp():
            raise InvalidCredentialError("The API key has expired. Get a new one.")
        return principal

    def _note_away(self) -> None:
        if not self._is_away:
            self._is_away = True
            _log.warning("database away; API keys that were valid are accepted for %g s more", _STALE_SECONDS)
