"""The place where an issuer publishes its keys, given or found by OIDC discovery."""

from collections.abc import Sequence
from typing import Any

from gateway.service.auth.issuer_http import IssuerHttp
from gateway.service.auth.oidc_discovery import discover_jwks_url
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
