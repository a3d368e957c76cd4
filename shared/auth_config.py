"""The section `[auth]` of `config.toml`: how requests are authenticated, and how tokens are verified and read."""

from enum import StrEnum

from pydantic import Field, SecretStr

from shared.config import Section
from shared.contract.principal import DEFAULT_TENANT, Scope


class AuthMode(StrEnum):
    """How a request shows who makes it."""

    NONE = "none"  # it does not: everybody is the same principal
    API_KEY = "api_key"  # by an API key of this server
    JWT = "jwt"  # by a token of jwt_issuer
    ANY = "any"  # by either


class JwtAlgorithm(StrEnum):
    """A signature that a token may have: HS* by a shared secret, the others by a key pair."""

    HS256 = "HS256"
    HS384 = "HS384"
    HS512 = "HS512"
    RS256 = "RS256"
    RS384 = "RS384"
    RS512 = "RS512"
    PS256 = "PS256"
    PS384 = "PS384"
    PS512 = "PS512"
    ES256 = "ES256"
    ES384 = "ES384"
    ES512 = "ES512"
    EDDSA = "EdDSA"

    @property
    def is_symmetric(self) -> bool:
        """Whether whoever can verify a token can also make one."""
        return self.startswith("HS")


class AuthConfig(Section):
    """Who may do what: how requests are authenticated, and what a token says of its user."""

    mode: AuthMode = Field(AuthMode.NONE, description="none | api_key | jwt | any (API keys and tokens)")
    anonymous_network: bool = Field(
        False,
        description="with mode none: listen also on an address that other machines can reach, where anybody may do"
        " anything",
    )
    default_tenant: str = Field(
        DEFAULT_TENANT, min_length=1, description="tenant of principals whose credential names none"
    )
    jwt_issuer: str = Field("", description="iss of the tokens, compared character by character")
    jwt_audience: tuple[str, ...] = Field((), description="names of this server; a token must be meant for one")
    jwt_audience_claim: str = Field(
        "aud", min_length=1, description="claim that names whom a token is meant for: aud, or azp, client_id, ..."
    )
    jwt_algorithms: tuple[JwtAlgorithm, ...] = Field(
        (JwtAlgorithm.RS256,),
        min_length=1,
        description="signatures that are accepted: HS*, or of RS*, PS*, ES* and EdDSA any",
    )
    jwt_secret: SecretStr = Field(
        SecretStr(""), description="only from the environment: the secret of HS*, 32 bytes or more"
    )
    jwt_public_key: str = Field("", description="PEM text of the public key, or a file with it; empty: jwks_url")
    jwks_url: str = Field("", description="where the issuer's keys are; empty: OIDC discovery below jwt_issuer")
    jwt_leeway: float = Field(30.0, ge=0, le=300, description="seconds that the issuer's clock may differ")
    jwks_refresh: float = Field(
        300.0, ge=10, description="age at which the issuer's keys are fetched again, in the background"
    )
    jwks_lifetime: float = Field(900.0, ge=10, description="age from which requests wait for that fetch")
    jwks_max_stale: float = Field(
        86_400.0, ge=10, le=86_400, description="age up to which they are used while the issuer cannot be reached"
    )
    jwks_cooldown: float = Field(
        30.0, ge=1, description="shortest time between two fetches for tokens whose key is not known"
    )
    jwks_timeout: float = Field(5.0, gt=0, le=60, description="seconds that one fetch of the keys may take")
    claim_user: str = Field("sub", min_length=1, description="claim with the user's id; dots lead into objects")
    claim_tenant: str = Field("", description="claim with the tenant's id; empty: all tokens are of default_tenant")
    require_tenant: bool = Field(
        True, description="false: a token without claim_tenant is of default_tenant, not refused"
    )
    claim_roles: str = Field(
        "", description="claim with roles, such as realm_access.roles or scope; empty: jwt_scopes for every token"
    )
    jwt_scopes: tuple[Scope, ...] = Field(
        (Scope.READ, Scope.RUN), description="what every token may do while claim_roles is empty"
    )
    role_scopes: dict[str, tuple[Scope, ...]] = Field(
        default_factory=dict, description='what a role may do, as in "baud-admin" = ["read", "run", "admin"]'
    )
