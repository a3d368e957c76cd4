"""Remembers for a short time what tokens were verified to, so that a client's next request costs a hash."""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from shared.clock import SystemClock
from shared.contract.principal import Principal

# A token that its issuer withdraws, or whose key it removes, is accepted for no longer.
_MAX_SECONDS: Final = 60.0
_MAX_TOKENS: Final = 10_000  # about 5 MB


@dataclass(frozen=True, slots=True)
class _Verified:
    principal: Principal
    key_version: int
    forget_at: float


class VerifiedTokens:
    """The principals of verified tokens by the SHA-256 of the complete token; the least recently used go first."""

    def __init__(self, clock: SystemClock, *, max_tokens: int = _MAX_TOKENS) -> None:
        self._clock = clock
        self._max_tokens = max_tokens
        self._verified: OrderedDict[bytes, _Verified] = OrderedDict()

    def find(self, digest: bytes, key_version: int) -> Principal | None:
        """Return whose token it is, if it was verified by the keys of this version and has not expired since."""
        entry = self._verified.get(digest)
        if entry is None:
            return None
        if entry.key_version != key_version or self._clock.monotonic() >= entry.forget_at:
            del self._verified[digest]
            return None
        self._verified.move_to_end(digest)
        return entry.principal

    def keep(self, digest: bytes, principal: Principal, *, key_version: int, seconds_left: float) -> None:
        """Remember a token that expires after so many seconds."""
        if seconds_left <= 0:
            return
        forget_at = self._clock.monotonic() + min(seconds_left, _MAX_SECONDS)
        self._verified[digest] = _Verified(principal, key_version, forget_at)
        self._verified.move_to_end(digest)
        if len(self._verified) > self._max_tokens:
            self._verified.popitem(last=False)


def digest_of(token: str) -> bytes:
    """Return the SHA-256 of a token, which has to be ASCII."""
    return hashlib.sha256(token.encode("ascii")).digest()
