"""CPU of verifying a token: afresh with each kind of key beside PyJWT alone, remembered beside a hash of the token."""

import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import SecretStr

from benchmarks.report import report
from gateway.service.auth.build_jwt import build_jwt_verifier
from gateway.service.auth.jwt_verifier import JwtVerifier
from gateway.service.auth.verification_keys import MAX_KEYS, KeySet
from shared.auth_config import AuthConfig, AuthMode, JwtAlgorithm

_TOKENS: Final = 500
_ROUNDS: Final = 3  # the least counts: other processes share the caches
_REMEMBERED: Final = 20_000
_SETS: Final = 20
_ISSUER: Final = "https://issuer.example/realm"
_SECRET: Final = "a-secret-of-the-benchmark-0123456789-abcdefghijkl"
_AIM_AFRESH_MS: Final = 0.5
_AIM_REMEMBERED_MS: Final = 0.05


def _private_keys() -> dict[str, Any]:
    return {
        "HS256": _SECRET,
        "RS256": rsa.generate_private_key(65537, 2048),
        "ES256": ec.generate_private_key(ec.SECP256R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    }


def _tokens(algorithm: str, key: Any) -> list[str]:
    """Return tokens as a large issuer makes them, of about 1 KB each."""
    now = int(time.time())
    body = {
        "iss": _ISSUER,
        "aud": ["baud", "account"],
        "sub": "5f7c8ec7c33c6c004bbafe82",
        "iat": now,
        "exp": now + 3600,
    }
    body |= {"realm_access": {"roles": ["offline_access", "builder", "viewer"]}, "email": "alice@example.com"}
    body |= {"groups": [f"/department/group-{number}" for number in range(20)]}
    return [jwt.encode({**body, "jti": str(number)}, key, algorithm) for number in range(_TOKENS)]


def _verifier(algorithm: str, key: Any) -> JwtVerifier:
    given: dict[str, Any] = {"jwt_secret": SecretStr(_SECRET)}
    if algorithm != "HS256":
        pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        given = {"jwt_public_key": pem}
    config = AuthConfig(
        mode=AuthMode.JWT,
        jwt_issuer=_ISSUER,
        jwt_audience=("baud",),
        jwt_algorithms=(JwtAlgorithm(algorithm),),
        **given,
    )
    return build_jwt_verifier(config)


async def _cpu_ms(work: Callable[[str], Awaitable[Any]], tokens: Sequence[str]) -> float:
    """Return the milliseconds of CPU for one token."""
    began = time.process_time()
    for token in tokens:
        await work(token)
    return (time.process_time() - began) / len(tokens) * 1e3


async def _afresh(algorithm: str, key: Any) -> tuple[float, float]:
    """Return what Baud and what PyJWT alone takes for a token that was not seen before."""
    tokens = _tokens(algorithm, key)
    public = key if algorithm == "HS256" else key.public_key()
    options: Any = {"require": ["exp", "sub"], "enforce_minimum_key_length": True}

    async def decode(token: str) -> None:
        jwt.decode(token, public, [algorithm], options=options, audience="baud", issuer=_ISSUER, leeway=30)

    rounds = [
        (await _cpu_ms(_verifier(algorithm, key).verify, tokens), await _cpu_ms(decode, tokens)) for _ in range(_ROUNDS)
    ]
    return min(ours for ours, _ in rounds), min(theirs for _, theirs in rounds)


async def _remembered(key: str) -> tuple[float, float]:
    """Return what a token takes that was verified just before, and what its SHA-256 alone takes."""
    token = _tokens("HS256", key)[0]

    async def digest(text: str) -> None:
        hashlib.sha256(text.encode()).digest()

    verifier = _verifier("HS256", key)
    await verifier.verify(token)
    tokens = [token] * _REMEMBERED
    baseline = await _cpu_ms(digest, tokens)
    return await _cpu_ms(verifier.verify, tokens), baseline


def _reading_keys(key: Any) -> float:
    """Return the milliseconds of CPU in which the largest set of keys is read, for which the event loop waits."""
    published = jwt.get_algorithm_by_name("RS256").to_jwk(key.public_key(), as_dict=True)
    keys = [{**published, "kid": str(number)} for number in range(MAX_KEYS)]
    began = time.process_time()
    for _ in range(_SETS):
        KeySet(keys, frozenset({"RS256"}))
    return (time.process_time() - began) / _SETS * 1e3


async def measure() -> None:
    """Print the figures."""
    keys = _private_keys()
    rows: list[tuple[str, str, str]] = []
    figures: dict[str, float] = {}
    for algorithm, key in keys.items():
        taken, baseline = await _afresh(algorithm, key)
        aim = f"aim: at most {_AIM_AFRESH_MS} ms; PyJWT alone {baseline:.3f} ms"
        rows.append((f"{algorithm}, afresh", f"{taken:.3f} ms", aim))
        figures |= {f"{algorithm}_ms": taken, f"{algorithm}_pyjwt_ms": baseline}
    taken, baseline = await _remembered(keys["HS256"])
    aim = f"aim: at most {_AIM_REMEMBERED_MS} ms; SHA-256 alone {baseline:.4f} ms"
    rows.append(("verified before", f"{taken:.4f} ms", aim))
    reading = _reading_keys(keys["RS256"])
    rows.append((f"reading {MAX_KEYS} published RSA keys", f"{reading:.1f} ms", "the event loop waits for it"))
    figures |= {"remembered_ms": taken, "sha256_ms": baseline, "read_keys_ms": reading}
    report("CPU of verifying a token of 1 KB", rows, figures)
