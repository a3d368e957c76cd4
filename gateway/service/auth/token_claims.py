"""Turns the claims of a token whose signature is verified into a principal, or says which of them is wrong."""

from typing import Any, Final

from shared.auth_config import AuthConfig
from shared.contract.json_text import JsonSyntaxError, JsonTextError, read_json
from shared.contract.principal import Principal, Scope
from shared.errors import InvalidCredentialError
from shared.ids import ID_FORM, is_id, is_plain_text

Claims = dict[str, Any]

_MAX_USER_CHARS: Final = 255  # OpenID Connect Core, section 2: sub has no more
_MAX_SECONDS: Final = 253_402_300_799  # the last second of the year 9999


def read_claims(payload: bytes) -> Claims:
    """Return the claims of a token."""
    try:
        claims = read_json(payload, unique_names=True)
    except JsonSyntaxError as error:
        raise InvalidCredentialError("The claims of the token are not JSON.") from error
    except JsonTextError as error:
        raise InvalidCredentialError(f"The claims of the token cannot be taken: {error}.") from error
    if not isinstance(claims, dict):
        raise InvalidCredentialError("The claims of the token are not a JSON object.")
    return claims


class ClaimRules:
    """What the configuration demands of claims, and what it reads out of them."""

    def __init__(self, config: AuthConfig) -> None:
        self._config = config
        self._audience = frozenset(config.jwt_audience)
        self._credential = f"jwt:{config.jwt_issuer}"

    def principal(self, claims: Claims, now: float) -> Principal:
        """Return whose token it is at `now`, seconds since the epoch. Raises InvalidCredentialError."""
        expires_at = self._check_times(claims, now)
        if claims.get("iss") != self._config.jwt_issuer:
            raise InvalidCredentialError("The token comes from another issuer (iss) than the one that is trusted here.")
        self._check_audience(claims)
        return Principal(
            tenant=self._tenant(claims),
            user=self._user(claims),
            scopes=self._scopes(claims),
            credential=self._credential,
            expires_at=expires_at,
        )

    def _check_times(self, claims: Claims, now: float) -> float:
        """Return the end of the token's validity, the leeway included."""
        expires_at = _seconds(claims, "exp")
        if expires_at is None:
            raise InvalidCredentialError("The token has no end of validity (exp).")
        if now >= expires_at + self._config.jwt_leeway:
            raise InvalidCredentialError("The token has expired (exp).")
        not_before = _seconds(claims, "nbf")
        if not_before is not None and now < not_before - self._config.jwt_leeway:
            raise InvalidCredentialError("The token is not valid yet (nbf).")
        return expires_at + self._config.jwt_leeway

    def _check_audience(self, claims: Claims) -> None:
        name = self._config.jwt_audience_claim
        audience = _texts(find_claim(claims, name), name, split=False)
        if self._audience.isdisjoint(audience):
            raise InvalidCredentialError(f"The token is meant for another server ({name}), or says not for which.")

    def _user(self, claims: Claims) -> str:
        name = self._config.claim_user
        user = find_claim(claims, name)
        if user is None:
            raise InvalidCredentialError(f"The token does not say who its user is: it has no {name}.")
        if not isinstance(user, str) or not is_plain_text(user, max_chars=_MAX_USER_CHARS):
            raise InvalidCredentialError(
                f"The user of the token ({name}) is not a text of 1 to {_MAX_USER_CHARS} printable characters."
            )
        return user

    def _tenant(self, claims: Claims) -> str:
        name = self._config.claim_tenant
        tenant = find_claim(claims, name) if name else None
        if tenant is None and not (name and self._config.require_tenant):
            return self._config.default_tenant
        if tenant is None:
            raise InvalidCredentialError(f"The token does not say of which tenant its user is: it has no {name}.")
        if not isinstance(tenant, str) or not is_id(tenant):
            raise InvalidCredentialError(f"The tenant of the token ({name}) cannot be the id of a tenant: {ID_FORM}.")
        return tenant

    def _scopes(self, claims: Claims) -> frozenset[Scope]:
        name = self._config.claim_roles
        if not name:
            return frozenset(self._config.jwt_scopes)
        roles = _texts(find_claim(claims, name), name, split=True)
        return frozenset(scope for role in roles for scope in self._config.role_scopes.get(role, ()))


def find_claim(claims: Claims, name: str) -> Any:
    """Return a claim by its name, else by the path that dots in it make; None where there is none.

    Names may hold dots themselves, as https://example.com/roles does, so the complete rest is tried first.
    """
    node: Any = claims
    rest = name
    while isinstance(node, dict):
        if rest in node:
            return node[rest]
        head, _, rest = rest.partition(".")
        node = node.get(head)
    return None


def _texts(value: Any, name: str, *, split: bool) -> list[str]:
    """Return a claim that is a text or a list of texts as a list; a text may hold several, joined by spaces."""
    if value is None:
        return []
    if isinstance(value, str):
        return value.split(" ") if split else [value]
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return value
    raise InvalidCredentialError(f"{name} of the token is neither a text nor a list of texts.")


def _seconds(claims: Claims, name: str) -> float | None:
    """Return a claim that is a time; None where there is none."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MAX_SECONDS:
        raise InvalidCredentialError(f"{name} of the token is not a time in seconds since 1970.")
    return float(value)
