"""Verifies API keys by the database, whose answers are remembered."""

import hashlib
from functools import partial
from typing import Protocol

from gateway.service.auth.remembered_answers import MAX_ANSWERS, RememberedAnswers
from shared.clock import SystemClock
from shared.contract.principal import Principal
from shared.errors import InvalidCredentialError


class KeyLookup(Protocol):
    """Knows the API keys."""

    async def principal_of(self, text: str) -> Principal:
        """Return whose key this is; raises InvalidCredentialError, DatabaseUnavailableError."""


class ApiKeyVerifier:
    """Verifies API keys. What is remembered is found by the SHA-256 of a key."""

    def __init__(self, keys: KeyLookup, clock: SystemClock, *, max_keys: int = MAX_ANSWERS) -> None:
        self._keys = keys
        self._clock = clock
        self._remembered = RememberedAnswers[Principal](clock, max_answers=max_keys)

    async def verify(self, credential: str) -> Principal:
        """Return whose key it is.

        Raises InvalidCredentialError, and DatabaseUnavailableError for a key that was not seen valid within a minute.
        """
        digest = hashlib.sha256(credential.encode(errors="replace")).digest()
        principal = await self._remembered.get(digest, partial(self._keys.principal_of, credential))
        if principal.expires_at is not None and principal.expires_at <= self._clock.now().timestamp():
            raise InvalidCredentialError("The API key has expired. Get a new one.")
        return principal
