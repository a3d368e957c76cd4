"""Tokens as an issuer makes them, and as an attacker would: any header, any payload, any signature."""

import base64
import json
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurve,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from pydantic import SecretStr

from gateway.service.auth.build_jwt import build_jwt_verifier
from gateway.service.auth.jwt_verifier import JwtVerifier
from shared.auth_config import AuthConfig, AuthMode, JwtAlgorithm
from shared.errors import InvalidCredentialError
from tests.fakes.fake_clock import FakeClock

ISSUER: Final = "https://issuer.example/realm"
AUDIENCE: Final = "baud"
SECRET: Final = "an-hmac-secret-of-64-bytes-0123456789-abcdefghijklmnopqrstuvwxyz"
ASYMMETRIC: Final = ("RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA")
ALGORITHMS: Final = ("HS256", "HS512", *ASYMMETRIC)


def private_key(algorithm: str, number: int = 0) -> Any:
    """Return a key of the issuer for an algorithm; other numbers are other keys."""
    return _made_key(algorithm, number)


@cache
def _made_key(algorithm: str, number: int) -> Any:
    if algorithm.startswith("HS"):
        return SECRET + str(number) * number
    if algorithm == "EdDSA":
        return Ed25519PrivateKey.generate()
    if algorithm.startswith("ES"):
        curves: dict[str, EllipticCurve] = {"ES256": SECP256R1(), "ES384": SECP384R1(), "ES512": SECP521R1()}
        return generate_private_key(curves[algorithm])
    return generate_rsa(65537, 2048)


def public_pem(algorithm: str) -> str:
    key = private_key(algorithm).public_key()
    return str(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def private_pem(algorithm: str) -> str:
    key = private_key(algorithm)
    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


def jwk(algorithm: str, key_id: str | None = "one", number: int = 0, **members: Any) -> dict[str, Any]:
    """Return a public key as an issuer publishes it."""
    key = private_key(algorithm, number).public_key()
    found: dict[str, Any] = jwt.get_algorithm_by_name(algorithm).to_jwk(key, as_dict=True)
    return {**found, "alg": algorithm, "use": "sig", **({"kid": key_id} if key_id else {}), **members}


def claims(clock: FakeClock, **changes: Any) -> dict[str, Any]:
    """Return the claims of a good token; a change to None takes one out."""
    now = int(clock.now().timestamp())
    good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 300}
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def sign(body: Mapping[str, Any], algorithm: str = "HS256", number: int = 0, **header: Any) -> str:
    """Return a token that is signed by the issuer."""
    return sign_bytes(json.dumps(body).encode(), {"alg": algorithm, "typ": "JWT", **header}, algorithm, number)


def sign_bytes(payload: bytes, header: Any, algorithm: str = "HS256", number: int = 0) -> str:
    """Return a token of exactly this payload and header; a header may be JSON text as well."""
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    signed = b".".join((b64(head), b64(payload)))
    method = jwt.get_algorithm_by_name(algorithm)
    signature = method.sign(signed, method.prepare_key(private_key(algorithm, number)))
    return b".".join((signed, b64(signature))).decode()


def b64(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def config(algorithm: str = "HS256", **changes: Any) -> AuthConfig:
    """Return a configuration with the key for an algorithm."""
    given: dict[str, Any] = {
        "mode": AuthMode.JWT,
        "jwt_issuer": ISSUER,
        "jwt_audience": (AUDIENCE,),
        "jwt_algorithms": (JwtAlgorithm(algorithm),),
    }
    if algorithm.startswith("HS"):
        given["jwt_secret"] = SecretStr(SECRET)
    else:
        given["jwt_public_key"] = public_pem(algorithm)
    return AuthConfig(**{**given, **changes})


def verifier(clock: FakeClock, algorithm: str = "HS256", **changes: Any) -> JwtVerifier:
    return build_jwt_verifier(config(algorithm, **changes), clock)


async def refusal(checked: JwtVerifier, token: str) -> str:
    """Return the sentence with which a token is refused; fail if it is not."""
    try:
        principal = await checked.verify(token)
    except InvalidCredentialError as error:
        return error.message
    raise AssertionError(f"the token was accepted as that of {principal}")
