"""The one key of a configuration that names no issuer to ask: a shared secret, or a public key."""

from collections.abc import Sequence

from gateway.service.auth.ports import VerificationKey


class FixedKey:
    """A KeySource that never changes; a key id in a token means nothing to it."""

    version = 0

    def __init__(self, key: VerificationKey) -> None:
        self._keys = (key,)

    async def find(self, key_id: str | None, algorithm: str) -> Sequence[VerificationKey]:
        """Return the key."""
        return self._keys

    async def refetch(self) -> bool:
        """Return False: there is nobody to ask."""
        return False

    async def aclose(self) -> None:
        """Do nothing."""
