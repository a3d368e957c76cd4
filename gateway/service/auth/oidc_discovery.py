"""Where an issuer publishes its keys: given, or found by OpenID Connect Discovery 1.0, section 4."""

from collections.abc import Sequence
from typing import Any

from gateway.service.auth.issuer_http import IssuerHttp
from shared.errors import IssuerUnavailableError


class JwksEndpoint:
    """A KeyPublisher; without a `jwks_url` the issuer is asked for it each time, so that it may change."""

    def __init__(self, http: IssuerHttp, *, issuer: str, jwks_url: str) -> None:
        self._http = http
        self._issuer = issuer
        self._jwks_url = jwks_url

    async def fetch(self) -> Sequence[Any]:
        """Return the published keys. Raises IssuerUnavailableError with what went wrong."""
        url = self._jwks_url or await discover_jwks_url(self._http, self._issuer)
        keys = (await self._http.get_object(url)).get("keys")
        if not isinstance(keys, list):
            raise IssuerUnavailableError(f"{url} has no list of keys")
        return keys

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()


async def discover_jwks_url(http: IssuerHttp, issuer: str) -> str:
    """Return jwks_uri of the issuer's document. Raises IssuerUnavailableError with what is wrong, for the log."""
    # Only for the address of the document: the issuer itself is compared as it is.
    url = f"{issuer.removesuffix('/')}/.well-known/openid-configuration"
    document = await http.get_object(url)
    named = document.get("issuer")
    if named != issuer:
        raise IssuerUnavailableError(
            f"{url} is of the issuer {str(named)[:200]!r}, not of {issuer!r}: set auth.jwt_issuer to exactly that name"
        )
    jwks_url = document.get("jwks_uri")
    if not isinstance(jwks_url, str):
        raise IssuerUnavailableError(f"{url} does not say where the keys are (jwks_uri): set auth.jwks_url")
    return jwks_url
