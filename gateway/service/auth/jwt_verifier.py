"""Verifies tokens: bounds, header, signature, claims, in this order; algorithms come from the configuration alone."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from jwt import InvalidSignatureError, PyJWS, PyJWTError

from gateway.service.auth.ports import KeySource, VerificationKey
from gateway.service.auth.token_claims import ClaimRules, read_claims
from gateway.service.auth.token_header import MAX_TOKEN_BYTES, TokenHeader, read_header
from gateway.service.auth.verified_tokens import VerifiedTokens, digest_of
from shared.auth_config import AuthConfig
from shared.clock import SystemClock
from shared.contract.principal import Principal
from shared.errors import InvalidCredentialError, IssuerUnavailableError

_UNKNOWN_KEY: Final = "The token is signed with a key (kid) that its issuer does not publish for this algorithm."
_BAD_SIGNATURE: Final = "The signature of the token is not valid."


class JwtVerifier:
    """A TokenVerifier for the tokens of one issuer."""

    def __init__(self, config: AuthConfig, keys: KeySource, clock: SystemClock) -> None:
        self._keys = keys
        self._clock = clock
        self._rules = ClaimRules(config)
        self._verified = VerifiedTokens(clock)
        self._accepted = frozenset(map(str, config.jwt_algorithms))
        self._jws = PyJWS(algorithms=sorted(self._accepted), options={"enforce_minimum_key_length": True})

    async def verify(self, credential: str) -> Principal:
        """Return whose token it is.

        Raises InvalidCredentialError that says which check failed, IssuerUnavailableError where no keys can be had.
        """
        if len(credential) > MAX_TOKEN_BYTES:
            raise InvalidCredentialError(f"The token is longer than {MAX_TOKEN_BYTES:,} bytes.")
        if not credential.isascii():
            raise InvalidCredentialError("The token holds characters that are not ASCII.")
        digest = digest_of(credential)
        known = self._verified.find(digest, self._keys.version)
        return known or await self._verify_afresh(credential, digest)

    async def warm_up(self) -> None:
        """Have the keys fetched, so that the first token need not wait. A failure is logged."""
        with suppress(IssuerUnavailableError):
            await self._keys.find(None, "")

    async def aclose(self) -> None:
        """Close the connections to the issuer."""
        await self._keys.aclose()

    async def _verify_afresh(self, token: str, digest: bytes) -> Principal:
        header = read_header(token)
        if header.algorithm not in self._accepted:
            raise InvalidCredentialError("The token is signed by an algorithm (alg) that is not accepted here.")
        payload = await self._verify_signature(token, header)
        key_version = self._keys.version
        claims = read_claims(payload)
        now = self._clock.now().timestamp()
        principal = self._rules.principal(claims, now)
        self._verified.keep(digest, principal, key_version=key_version, seconds_left=claims["exp"] - now)
        return principal

    async def _verify_signature(self, token: str, header: TokenHeader) -> bytes:
        """Return what is signed. Keys are fetched anew for a token that none of them verifies, as they may change."""
        keys = await self._keys.find(header.key_id, header.algorithm)
        payload = self._signed_payload(token, keys, header.algorithm)
        # A key that is named and known stays the same; only without a name may another one be meant.
        may_be_new = payload is None and not (keys and header.key_id is not None)
        if may_be_new and await self._keys.refetch():
            keys = await self._keys.find(header.key_id, header.algorithm)
            payload = self._signed_payload(token, keys, header.algorithm)
        if payload is None:
            raise InvalidCredentialError(_BAD_SIGNATURE if keys else _UNKNOWN_KEY)
        return payload

    def _signed_payload(self, token: str, keys: Sequence[VerificationKey], algorithm: str) -> bytes | None:
        """Return what one of the keys verifies the token to have signed; None if none does."""
        for key in keys:
            try:
                payload: bytes = self._jws.decode_complete(token, key.key, algorithms=[algorithm])["payload"]
            except InvalidSignatureError:
                continue
            except PyJWTError as error:
                raise InvalidCredentialError("The token is not well-formed: a part of it is not base64url.") from error
            return payload
        return None
