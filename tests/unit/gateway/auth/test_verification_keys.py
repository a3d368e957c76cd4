"""Which published keys are used: those that can verify an accepted signature; odd ones cost only themselves."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from hypothesis import given
from hypothesis import strategies as st
from jwt import get_algorithm_by_name

from gateway.service.auth.verification_keys import MAX_KEYS, KeySet
from tests.unit.gateway.auth.token_scene import ALGORITHMS, ASYMMETRIC, b64, jwk, private_key

ACCEPTED = frozenset(ASYMMETRIC)
GOOD = jwk("ES256", "good", 3)


def usable(*published: Any, accepted: frozenset[str] = ACCEPTED) -> list[str | None]:
    return [key.key_id for key in KeySet(published, accepted).keys]


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
def test_a_key_of_each_kind_is_used_for_its_algorithm_alone(algorithm: str) -> None:
    keys = KeySet([jwk(algorithm)], ACCEPTED)
    assert [len(keys.find("one", each)) for each in ASYMMETRIC] == [int(each == algorithm) for each in ASYMMETRIC]


def test_a_key_that_names_no_algorithm_serves_all_that_fit_its_kind() -> None:
    plain = {name: value for name, value in jwk("RS256").items() if name not in ("alg", "use")}
    assert KeySet([plain], ACCEPTED).keys[0].algorithms == {"RS256", "PS256"}
    assert KeySet([plain], frozenset({"PS256"})).keys[0].algorithms == {"PS256"}


def short_rsa() -> dict[str, Any]:
    found: dict[str, Any] = get_algorithm_by_name("RS256").to_jwk(
        generate_private_key(65537, 1024).public_key(), as_dict=True
    )
    return found


def private_jwk(algorithm: str) -> dict[str, Any]:
    found: dict[str, Any] = get_algorithm_by_name(algorithm).to_jwk(private_key(algorithm), as_dict=True)
    return found


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(None, id="null"),
        pytest.param("key", id="text"),
        pytest.param([GOOD], id="list"),
        pytest.param({}, id="empty"),
        pytest.param({"kty": "oct", "k": "c2VjcmV0"}, id="shared-secret"),
        pytest.param(jwk("RS256", use="enc"), id="for-encryption"),
        pytest.param(jwk("RS256", key_ops=["encrypt"]), id="not-to-verify"),
        pytest.param(jwk("RS256", key_ops="verify"), id="key-ops-text"),
        pytest.param(jwk("RS256", alg="RSA-OAEP"), id="algorithm-of-encryption"),
        pytest.param(jwk("RS256", alg="none"), id="alg-none"),
        pytest.param(jwk("RS256", alg=["RS256"]), id="alg-list"),
        pytest.param(jwk("RS256", alg="ES256"), id="alg-of-another-kind"),
        pytest.param(jwk("RS256", alg="HS256"), id="alg-of-a-secret"),
        pytest.param(jwk("RS256", alg="RS384"), id="alg-not-accepted"),
        pytest.param(jwk("RS256", kid=7), id="kid-number"),
        pytest.param(jwk("RS256", kty=["RSA"]), id="kty-list"),
        pytest.param(jwk("RS256", n=5), id="n-number"),
        pytest.param(jwk("RS256", n="AQAB"), id="n-small"),
        pytest.param(jwk("RS256", n=b64(b"\xff" * 1025).decode()), id="n-of-8200-bits"),
        pytest.param(jwk("RS256", n="\u00e9"), id="n-not-ascii"),
        pytest.param(jwk("RS256", e=""), id="e-empty"),
        pytest.param(jwk("ES256", x="AAAA"), id="x-short"),
        pytest.param(jwk("ES256", y=jwk("ES256")["x"]), id="not-on-the-curve"),
        pytest.param(jwk("ES256", crv="P-192"), id="curve"),
        pytest.param(jwk("ES256", crv=["P-256"]), id="curve-list"),
        pytest.param(jwk("EdDSA", crv="X25519"), id="curve-of-encryption"),
        pytest.param(jwk("EdDSA", x=None), id="x-null"),
        pytest.param(short_rsa(), id="rsa-1024"),
        pytest.param(private_jwk("RS256"), id="private-rsa"),
        pytest.param(private_jwk("ES256"), id="private-ec"),
    ],
)
def test_an_odd_key_is_left_out_and_the_others_serve(odd: Any) -> None:
    assert usable(odd, GOOD) == ["good"]
    assert usable(GOOD, odd) == ["good"]


_MEMBERS = st.none() | st.booleans() | st.integers() | st.text(max_size=60) | st.lists(st.text(max_size=3), max_size=2)


_NAMES = st.sampled_from([*GOOD, *jwk("RS256"), "key_ops", "k", "d"])


@given(st.dictionaries(_NAMES, _MEMBERS), st.sampled_from(ASYMMETRIC))
def test_any_change_of_a_key_costs_only_itself(changes: dict[str, Any], algorithm: str) -> None:
    assert "good" in usable({**jwk(algorithm), **changes}, GOOD)


def test_accepted_secrets_are_never_taken_from_an_issuer() -> None:
    assert usable({"kty": "oct", "k": "c2VjcmV0" * 8, "alg": "HS256"}, accepted=frozenset(ALGORITHMS)) == []


def test_the_first_of_two_keys_with_one_id_counts() -> None:
    keys = KeySet([jwk("ES256", "one"), jwk("ES256", "one", 1), jwk("RS256", "one")], ACCEPTED)
    assert keys.find("one", "ES256") == [keys.keys[0]]
    assert keys.find("one", "RS256") == [keys.keys[2]]


def test_only_so_many_keys_are_read_and_few_are_tried_without_an_id() -> None:
    keys = KeySet([jwk("ES256", str(number)) for number in range(MAX_KEYS + 9)], ACCEPTED)
    assert len(keys.keys) == MAX_KEYS
    assert keys.find(str(MAX_KEYS), "ES256") == []
    assert len(keys.find(None, "ES256")) == 4
