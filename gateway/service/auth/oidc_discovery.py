"""Finds where an issuer publishes its keys (OpenID Connect Discovery 1.0, section 4)."""

from gateway.service.auth.issuer_http import IssuerHttp
from shared.errors import IssuerUnavailableError
from shared.secure_url import secure_url_fault


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
    if fault := secure_url_fault(jwks_url):
        raise IssuerUnavailableError(f"jwks_uri in {url} {fault}")
    return jwks_url
