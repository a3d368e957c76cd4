"""Which verifier a configuration gets, which keys it refuses, and what is not imported without one."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from gateway.service.auth.build import build_token_verifier
from gateway.service.auth.build_jwt import build_jwt_verifier
from shared.auth_config import AuthConfig, AuthMode, JwtAlgorithm
from shared.clock import SystemClock
from shared.errors import ConfigurationError, IssuerUnavailableError
from tests.fakes.fake_clock import FakeClock
from tests.unit.gateway.auth.token_scene import (
    ALGORITHMS,
    ASYMMETRIC,
    claims,
    config,
    private_pem,
    public_pem,
    sign,
    verifier,
)

EMPTY = Path(__file__).with_name("__init__.py")
CUT = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"


@pytest.mark.parametrize("mode", [AuthMode.NONE, AuthMode.API_KEY])
def test_without_tokens_there_is_no_verifier(mode: AuthMode) -> None:
    assert build_token_verifier(AuthConfig(mode=mode)) is None


@pytest.mark.parametrize("mode", [AuthMode.JWT, AuthMode.ANY])
async def test_tokens_are_verified_by_the_time_of_the_system(mode: AuthMode) -> None:
    built = build_token_verifier(config("HS256", mode=mode))
    assert built is not None
    now = int(SystemClock().now().timestamp())
    token = sign(claims(FakeClock(), exp=now + 60), "HS256")
    assert (await built.verify(token)).user == "alice"
    await built.warm_up()
    await built.aclose()


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
async def test_a_public_key_is_read_from_text_one_line_or_a_file(algorithm: str, tmp_path: Path) -> None:
    pem, file = public_pem(algorithm), tmp_path / "key.pem"
    file.write_text(pem)
    clock = FakeClock()
    token = sign(claims(clock), algorithm)
    for value in (pem, pem.replace("\n", "\\n"), str(file)):
        assert (await verifier(clock, algorithm, jwt_public_key=value).verify(token)).user == "alice"


async def test_one_rsa_key_serves_several_algorithms() -> None:
    clock = FakeClock()
    checked = verifier(clock, "RS256", jwt_algorithms=(JwtAlgorithm.PS256, JwtAlgorithm.RS256))
    assert (await checked.verify(sign(claims(clock), "RS256"))).user == "alice"


@pytest.mark.parametrize(
    ("algorithm", "value", "expected"),
    [
        pytest.param("RS256", private_pem("RS256"), "is a private key; openssl", id="private"),
        pytest.param("RS256", public_pem("ES256"), "is not a key for RS256", id="another-kind"),
        pytest.param("ES256", public_pem("RS256"), "is not a key for ES256", id="another-kind-for-ec"),
        pytest.param("ES256", public_pem("ES384"), "is not a key for ES256", id="another-curve"),
        pytest.param("EdDSA", public_pem("ES256"), "is not a key for EdDSA", id="another-kind-for-ed"),
        pytest.param("RS256", CUT, "is not a key", id="cut"),
        pytest.param("ES256", CUT, "is not a key", id="cut-ec"),
        pytest.param("RS256", "-----BEGIN CERTIFICATE-----\nAAAA", "is not a public key in PEM", id="certificate"),
        pytest.param("RS256", "no-such-file.pem", "cannot be read: No such file", id="no-file"),
        pytest.param("RS256", "a\0b", "names a file that is not PEM", id="no-name"),
        pytest.param("RS256", ".", "cannot be read: Is a directory", id="folder"),
        pytest.param("RS256", str(EMPTY), "is not a public key in PEM", id="empty-file"),
    ],
)
def test_a_public_key_that_cannot_serve_is_refused(algorithm: str, value: str, expected: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^auth\.jwt_public_key ") as caught:
        build_jwt_verifier(config(algorithm, jwt_public_key=value))
    assert expected in caught.value.message
    assert "PRIVATE KEY-----\n" not in caught.value.message


def test_each_accepted_algorithm_has_to_fit_the_public_key() -> None:
    several = (JwtAlgorithm.RS256, JwtAlgorithm.ES256)
    with pytest.raises(ConfigurationError, match=r"is not a key for ES256; auth\.jwt_algorithms may name"):
        build_jwt_verifier(config("RS256", jwt_algorithms=several))


@pytest.mark.parametrize(
    ("secret", "expected"),
    [
        pytest.param("x" * 31, "too short", id="short"),
        pytest.param(public_pem("ES256"), "key of another kind", id="pem"),
        pytest.param('{"kty":"RSA","n":"AQAB","e":"AQAB"}', "key of another kind", id="jwk"),
    ],
)
def test_a_shared_secret_that_cannot_serve_is_refused_unseen(secret: str, expected: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^auth\.jwt_secret ") as caught:
        build_jwt_verifier(config("HS256", jwt_secret=SecretStr(secret)))
    assert expected in caught.value.message
    assert secret not in caught.value.message


async def test_an_issuer_that_is_away_at_the_start_stops_nothing() -> None:
    changes: dict[str, Any] = {"jwt_public_key": "", "jwks_url": "http://127.0.0.1:1/jwks", "jwks_timeout": 2}
    built = build_token_verifier(config("ES256", **changes))
    assert built is not None
    await built.warm_up()
    with pytest.raises(IssuerUnavailableError):
        await built.verify(sign(claims(FakeClock()), "ES256", kid="one"))
    await built.aclose()


def imported(program: str) -> list[str]:
    """Return which libraries for tokens a program imports."""
    heavy = ("jwt", "cryptography.hazmat", "httpx")
    code = f"import sys\n{program}\nprint(*[name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_libraries_for_tokens_are_imported_only_where_tokens_are_verified() -> None:
    build = "from gateway.service.auth.build import build_token_verifier; from shared.auth_config import AuthConfig"
    assert imported(f"import gateway.core.main\n{build}\nbuild_token_verifier(AuthConfig())") == []
    assert imported(f"{build}\nbuild_token_verifier(AuthConfig(mode='api_key'))") == []
    secret = "jwt_algorithms=['HS256'], jwt_secret='0123456789abcdef0123456789abcdef'"
    needed = imported(f"{build}\nbuild_token_verifier(AuthConfig(mode='jwt', {secret}))")
    assert needed == ["jwt", "cryptography.hazmat", "httpx"]


def test_every_algorithm_of_the_configuration_is_one_of_the_library() -> None:
    assert {"HS384", "RS384", "RS512", "PS384", "PS512", *ALGORITHMS} == set(JwtAlgorithm)
    for algorithm in JwtAlgorithm:
        assert JwtAlgorithm(algorithm).is_symmetric is algorithm.startswith("HS")
