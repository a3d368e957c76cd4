"""Tells API keys from tokens by how they begin."""

from typing import Final

from gateway.service.auth.ports import CredentialVerifier
from shared.contract.principal import Principal
from shared.errors import InvalidCredentialError

_KEY_PREFIX: Final = "baud_"


class AnyVerifier:
    """Verifies what this gateway accepts: API keys, tokens, or both."""

    def __init__(self, keys: CredentialVerifier | None, tokens: CredentialVerifier | None) -> None:
        self._keys = keys
        self._tokens = tokens

    async def verify(self, credential: str) -> Principal:
        """Return whose credential it is; raises InvalidCredentialError, UnavailableError."""
        is_key = credential.startswith(_KEY_PREFIX)
        verifier = self._keys if is_key else self._tokens
        if verifier is None:
            kind = "API keys" if is_key else "tokens"
            raise InvalidCredentialError(f"This server takes no {kind} (auth.mode). Send what it takes.")
        return await verifier.verify(credential)
