"""Checks of `[auth]` that concern more than one key: what a way of verifying tokens needs, and what it excludes."""

from collections.abc import Iterator
from typing import Final

from shared.auth_config import AuthConfig, AuthMode, JwtAlgorithm
from shared.ids import ID_FORM, is_id
from shared.secure_url import secure_url_fault
from shared.settings.problem import Problem

# RFC 7518, section 3.2: at least as long as the output of the hash.
_SECRET_BYTES: Final = {JwtAlgorithm.HS256: 32, JwtAlgorithm.HS384: 48, JwtAlgorithm.HS512: 64}
_DISTINCT_CHARS: Final = 8  # a random secret of 32 bytes has more; "xxxx…" and "0123 0123…" have fewer
_HOW_TO_MAKE_ONE: Final = "make one with: openssl rand -base64 48"
_BY_TOKENS: Final = frozenset({AuthMode.JWT, AuthMode.ANY})


def auth_conflicts(auth: AuthConfig) -> Iterator[Problem]:
    """Yield what does not go together, under the key that most likely has to change."""
    if not is_id(auth.default_tenant):
        yield _problem("default_tenant", f"cannot be the id of a tenant: {ID_FORM}")
    if auth.mode in _BY_TOKENS:
        yield from _tokens(auth)
    elif "mode" not in auth.model_fields_set and (names := _keys_of_tokens(auth)):
        sentence = "is set, but auth.mode is not, so that no token is verified: set auth.mode = jwt or any"
        yield _problem(names[0], sentence)


def _problem(key: str, message: str, *, secret: bool = False) -> Problem:
    return Problem(("auth", key), message, secret=secret)


def _keys_of_tokens(auth: AuthConfig) -> list[str]:
    values = {
        "jwt_issuer": auth.jwt_issuer,
        "jwt_audience": auth.jwt_audience,
        "jwt_secret": auth.jwt_secret.get_secret_value(),
        "jwt_public_key": auth.jwt_public_key,
        "jwks_url": auth.jwks_url,
    }
    return [name for name, value in values.items() if value]


def _tokens(auth: AuthConfig) -> Iterator[Problem]:
    if not auth.jwt_issuer:
        yield _problem("jwt_issuer", "must be set: the iss claim of the tokens, exactly as it stands in them")
    if not auth.jwt_audience or "" in auth.jwt_audience:
        sentence = "must be set, or tokens for other servers would be accepted: list the names of this one"
        yield _problem("jwt_audience", sentence)
    symmetric = {algorithm for algorithm in auth.jwt_algorithms if algorithm.is_symmetric}
    if not symmetric:
        yield from _key_pair(auth)
    elif symmetric == set(auth.jwt_algorithms):
        yield from _shared_secret(auth)
    else:
        sentence = "mixes HS* with others, so that the public key could be used to forge tokens: name one kind only"
        yield _problem("jwt_algorithms", sentence)
    yield from _times(auth)
    yield from _roles(auth)


def _shared_secret(auth: AuthConfig) -> Iterator[Problem]:
    for name in ("jwt_public_key", "jwks_url"):
        if getattr(auth, name):
            yield _problem(name, "does not go with HS* in auth.jwt_algorithms: remove it, or name RS256 or such")
    if fault := _secret_fault(auth):
        yield _problem("jwt_secret", f"{fault}; {_HOW_TO_MAKE_ONE}", secret=True)


def _secret_fault(auth: AuthConfig) -> str:
    secret = auth.jwt_secret.get_secret_value()
    needed = max(_SECRET_BYTES[algorithm] for algorithm in auth.jwt_algorithms)
    if not secret:
        return "must be set for HS*, by BAUD_AUTH__JWT_SECRET in the environment"
    if "-----BEGIN" in secret:
        return "is a PEM text, which others may know"
    if len(secret.encode(errors="surrogateescape")) < needed:
        return f"must have at least {needed} bytes for these algorithms"
    return "" if len(set(secret)) >= _DISTINCT_CHARS else "repeats few characters, so that it can be guessed"


def _key_pair(auth: AuthConfig) -> Iterator[Problem]:
    if auth.jwt_secret.get_secret_value():
        sentence = "is for HS* only, and auth.jwt_algorithms names none: unset it, or set auth.jwt_algorithms = HS256"
        yield _problem("jwt_secret", sentence, secret=True)
    if auth.jwt_public_key and auth.jwks_url:
        yield _problem("jwks_url", "does not go with auth.jwt_public_key: remove one of them")
    elif "PRIVATE KEY" in auth.jwt_public_key:
        sentence = "is a private key; openssl pkey -in FILE -pubout prints the public one, which belongs here"
        yield _problem("jwt_public_key", sentence, secret=True)
    elif auth.jwks_url:
        if fault := secure_url_fault(auth.jwks_url):
            yield _problem("jwks_url", fault)
    elif not auth.jwt_public_key and auth.jwt_issuer:
        yield from _discovery(auth.jwt_issuer)


def _discovery(issuer: str) -> Iterator[Problem]:
    fault = secure_url_fault(issuer) or ("must end before the ?" if "?" in issuer else "")
    if fault:
        yield _problem("jwt_issuer", f"{fault}, for OIDC discovery; or set auth.jwks_url or auth.jwt_public_key")


def _times(auth: AuthConfig) -> Iterator[Problem]:
    if auth.jwks_refresh >= auth.jwks_lifetime:
        sentence = f"must be below auth.jwks_lifetime = {auth.jwks_lifetime:g}, so that keys are fetched ahead of it"
        yield _problem("jwks_refresh", sentence)
    if auth.jwks_lifetime > auth.jwks_max_stale:
        yield _problem("jwks_lifetime", f"must not exceed auth.jwks_max_stale = {auth.jwks_max_stale:g}")


def _roles(auth: AuthConfig) -> Iterator[Problem]:
    if auth.claim_roles and not auth.role_scopes:
        sentence = 'is set, but no role may do anything: add [auth.role_scopes] with lines like admin = ["read", "run"]'
        yield _problem("claim_roles", sentence)
    if auth.role_scopes and not auth.claim_roles:
        yield _problem("role_scopes", "is set, but auth.claim_roles does not say which claim holds roles")
