"""What the gateway asks of a check of credentials, and what the check of tokens asks of a source of keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from shared.contract.principal import Principal


class CredentialVerifier(Protocol):
    """Checks one kind of credential."""

    async def verify(self, credential: str) -> Principal:
        """Return whose credential it is.

        Raises InvalidCredentialError that says which check failed, UnavailableError where it cannot be checked now.
        """


class TokenVerifier(CredentialVerifier, Protocol):
    """Checks tokens; it may hold connections to their issuer."""

    async def warm_up(self) -> None:
        """Get ready ahead of the first token. A failure is logged, not raised."""

    async def aclose(self) -> None:
        """End what runs in the background and close connections."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key, or a shared secret, and the signatures that it may verify."""

    key_id: str | None
    algorithms: frozenset[str]
    key: Any  # of cryptography, or bytes: as PyJWT takes it


class KeyPublisher(Protocol):
    """An issuer that publishes its keys."""

    async def fetch(self) -> Sequence[Any]:
        """Return the keys as JSON has them. Raises IssuerUnavailableError with what went wrong, for the log."""

    async def aclose(self) -> None:
        """Close connections."""


class KeySource(Protocol):
    """Where the keys are that verify tokens."""

    @property
    def version(self) -> int:
        """A number that changes whenever a key may have been removed."""

    async def find(self, key_id: str | None, algorithm: str) -> Sequence[VerificationKey]:
        """Return the keys that may verify such a token; without a key id all that fit, up to a limit.

        Raises IssuerUnavailableError where no keys are known.
        """

    async def refetch(self) -> bool:
        """Fetch the keys again for a token that none of them verifies; False where that was done just before.

        Raises IssuerUnavailableError.
        """

    async def aclose(self) -> None:
        """End what runs in the background and close connections."""
