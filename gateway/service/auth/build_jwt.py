"""Puts a JwtVerifier together: with the one key of the configuration, or with those that the issuer publishes."""

from urllib.parse import urlsplit

import httpx
from jwt import PyJWTError, get_algorithm_by_name

from gateway.service.auth.issuer_http import IssuerHttp
from gateway.service.auth.jwks import IssuerKeys
from gateway.service.auth.jwt_verifier import JwtVerifier
from gateway.service.auth.oidc_discovery import JwksEndpoint
from gateway.service.auth.ports import KeySource, VerificationKey
from gateway.service.auth.verification_keys import FixedKey, read_public_key
from shared.auth_config import AuthConfig
from shared.clock import SystemClock
from shared.errors import ConfigurationError
from shared.secure_url import is_loopback


def build_jwt_verifier(
    config: AuthConfig, clock: SystemClock | None = None, transport: httpx.AsyncBaseTransport | None = None
) -> JwtVerifier:
    """Return the verifier; `transport` takes the place of the network. Raises ConfigurationError."""
    clock = clock or SystemClock()
    return JwtVerifier(config, _key_source(config, clock, transport), clock)


def _key_source(config: AuthConfig, clock: SystemClock, transport: httpx.AsyncBaseTransport | None) -> KeySource:
    if config.jwt_algorithms[0].is_symmetric:
        return FixedKey(_shared_secret(config))
    if config.jwt_public_key:
        return FixedKey(read_public_key(config.jwt_public_key, config.jwt_algorithms))
    # Proxies and certificates of the environment are for issuers elsewhere.
    host = urlsplit(config.jwks_url or config.jwt_issuer).hostname or ""
    http = IssuerHttp(timeout_seconds=config.jwks_timeout, trust_env=not is_loopback(host), transport=transport)
    return IssuerKeys(JwksEndpoint(http, issuer=config.jwt_issuer, jwks_url=config.jwks_url), config, clock)


def _shared_secret(config: AuthConfig) -> VerificationKey:
    secret = config.jwt_secret.get_secret_value().encode(errors="surrogateescape")
    for name in config.jwt_algorithms:
        method = get_algorithm_by_name(name)
        try:
            fault = method.check_key_length(method.prepare_key(secret))
        except PyJWTError as error:
            raise ConfigurationError("auth.jwt_secret is a key of another kind, which others may know") from error
        if fault:
            raise ConfigurationError(f"auth.jwt_secret is too short. {fault}")
    return VerificationKey(None, frozenset(config.jwt_algorithms), secret)
