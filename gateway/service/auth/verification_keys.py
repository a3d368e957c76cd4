"""Makes verification keys out of what an issuer publishes or the configuration holds; what is unfit is not used."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from jwt import PyJWK, PyJWTError, get_algorithm_by_name

from gateway.service.auth.ports import VerificationKey
from shared.auth_config import JwtAlgorithm
from shared.errors import ConfigurationError

# Large issuers publish about ten. Reading one takes up to 0.05 ms, so that a set takes 3 ms of the event loop at most.
MAX_KEYS: Final = 64
_MAX_MEMBER_CHARS: Final = 1366  # the modulus of an RSA key of 8192 bits, in base64url
_MAX_PEM_CHARS: Final = 16_384
_TRIED_WITHOUT_ID: Final = 4  # an issuer that names no key in its tokens has two while it changes them
_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_BY_KIND: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("RSA", ""): _RSA,
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
}


class KeySet:
    """The keys of an issuer that may verify one of the accepted signatures."""

    def __init__(self, published: Sequence[Any], accepted: frozenset[str]) -> None:
        self.published = published
        read = (_read_jwk(each, accepted) for each in published[:MAX_KEYS])
        self.keys = tuple(key for key in read if key is not None)

    def find(self, key_id: str | None, algorithm: str) -> list[VerificationKey]:
        """Return the keys for such a token; without a key id the first few that fit."""
        fitting = [key for key in self.keys if algorithm in key.algorithms]
        if key_id is None:
            return fitting[:_TRIED_WITHOUT_ID]
        return [key for key in fitting if key.key_id == key_id][:1]


class FixedKey:
    """A KeySource of the one key of a configuration; a key id in a token means nothing to it."""

    version = 0

    def __init__(self, key: VerificationKey) -> None:
        self._keys = (key,)

    async def find(self, key_id: str | None, algorithm: str) -> Sequence[VerificationKey]:
        """Return the key."""
        return self._keys

    async def refetch(self) -> bool:
        """Return False: there is nobody to ask."""
        return False

    async def aclose(self) -> None:
        """Do nothing."""


def _read_jwk(jwk: Any, accepted: frozenset[str]) -> VerificationKey | None:
    """Return the key of a JSON Web Key (RFC 7517); None for one that is not to be used, or that cannot be read."""
    if not isinstance(jwk, dict) or not _is_for_signatures(jwk):
        return None
    algorithms = _algorithms(jwk) & accepted
    if not algorithms:
        return None
    # PyJWKSet is not used: a key with an "alg" of none, or with one that is a list, makes it give up the others too.
    try:
        found = PyJWK.from_dict(jwk, algorithm=min(algorithms))
    except PyJWTError:
        return None
    if found.Algorithm.check_key_length(found.key) is not None:
        return None
    return VerificationKey(jwk.get("kid"), algorithms, found.key)


def _is_for_signatures(jwk: dict[str, Any]) -> bool:
    """Whether it is a public key of sensible size that is meant to verify signatures."""
    members = [jwk.get(name, "") for name in ("kty", "crv", "alg", "kid", "n", "e", "x", "y")]
    if not all(isinstance(value, str) and len(value) <= _MAX_MEMBER_CHARS for value in members):
        return False
    operations = jwk.get("key_ops", ["verify"])
    is_to_verify = isinstance(operations, list) and "verify" in operations
    return jwk.get("use", "sig") == "sig" and is_to_verify and "d" not in jwk


def _algorithms(jwk: dict[str, Any]) -> frozenset[str]:
    """Return the signatures that a key can verify: by its kind, and by what it says of itself."""
    fitting = frozenset(_BY_KIND.get((jwk.get("kty", ""), jwk.get("crv", "")), ()))
    return fitting & {jwk["alg"]} if "alg" in jwk else fitting


def read_public_key(value: str, algorithms: Iterable[JwtAlgorithm]) -> VerificationKey:
    """Return auth.jwt_public_key, a PEM text or the name of a file with one. Raises ConfigurationError."""
    pem = value.replace("\\n", "\n") if "-----BEGIN" in value else _read_file(value)
    if "PRIVATE KEY" in pem:
        raise _refusal("is a private key; openssl pkey -in FILE -pubout prints the public one")
    if "PUBLIC KEY" not in pem:
        raise _refusal("is not a public key in PEM: -----BEGIN PUBLIC KEY----- and so on")
    keys = [_read_pem(pem, algorithm) for algorithm in algorithms]
    return VerificationKey(None, frozenset(algorithms), keys[0])


def _read_pem(pem: str, algorithm: JwtAlgorithm) -> Any:
    method = get_algorithm_by_name(algorithm)
    try:
        key = method.prepare_key(pem)
    except (PyJWTError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _refusal(f"is not a key for {algorithm}; auth.jwt_algorithms may name only what fits it") from error
    if fault := method.check_key_length(key):
        raise _refusal(f"is too short. {fault}")
    return key


def _read_file(name: str) -> str:
    try:
        with Path(name).open(encoding="ascii") as file:
            return file.read(_MAX_PEM_CHARS)
    except OSError as error:
        raise _refusal(f"names a file that cannot be read: {error.strerror}") from error
    except ValueError as error:  # bytes that are no ASCII, a NUL in its name
        raise _refusal("names a file that is not PEM") from error


def _refusal(fault: str) -> ConfigurationError:
    return ConfigurationError(f"auth.jwt_public_key {fault}")
