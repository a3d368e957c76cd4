"""Which tokens are accepted, and for each check a token that fails it alone, with a sentence that names the check."""

import json
from typing import Any

import jwt
import pytest

from gateway.service.auth.token_header import MAX_TOKEN_BYTES
from shared.contract.principal import Principal, Scope
from tests.fakes.fake_clock import FakeClock
from tests.unit.gateway.auth.token_scene import (
    ALGORITHMS,
    ISSUER,
    SECRET,
    b64,
    claims,
    private_key,
    public_pem,
    refusal,
    sign,
    sign_bytes,
    verifier,
)

OTHER_ISSUERS = (ISSUER + "/", ISSUER.upper(), ISSUER[:-1], "", 7, [ISSUER], {"iss": ISSUER}, None)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_good_token_of_each_algorithm_is_accepted(algorithm: str, clock: FakeClock) -> None:
    body = claims(clock)
    principal = await verifier(clock, algorithm).verify(sign(body, algorithm))
    assert principal == Principal(
        tenant="default",
        user="alice",
        scopes=frozenset({Scope.READ, Scope.RUN}),
        credential=f"jwt:{ISSUER}",
        expires_at=body["exp"] + 30.0,
    )


@pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt", "application/at+jwt"])
async def test_tokens_for_access_are_accepted_by_their_type(typ: str, clock: FakeClock) -> None:
    await verifier(clock).verify(sign(claims(clock), typ=typ))


async def test_a_token_without_a_type_is_accepted(clock: FakeClock) -> None:
    await verifier(clock).verify(sign_bytes(json.dumps(claims(clock)).encode(), {"alg": "HS256"}))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_token_of_another_key_is_refused(algorithm: str, clock: FakeClock) -> None:
    forged = sign(claims(clock), algorithm, number=1)
    assert await refusal(verifier(clock, algorithm), forged) == "The signature of the token is not valid."


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_the_algorithm_is_never_taken_from_the_token(algorithm: str, clock: FakeClock) -> None:
    accepted = "ES256" if algorithm != "ES256" else "RS256"
    assert "(alg) that is not accepted" in await refusal(verifier(clock, accepted), sign(claims(clock), algorithm))


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", ""])
async def test_an_unsigned_token_is_refused(name: str, clock: FakeClock) -> None:
    header, payload, signature = sign(claims(clock)).split(".")
    unsigned = b64(json.dumps({"alg": name, "typ": "JWT"}).encode()).decode()
    for token in (f"{unsigned}.{payload}.", f"{unsigned}.{payload}.{signature}"):
        assert "(alg) that is not accepted" in await refusal(verifier(clock), token)
    assert "signature" in await refusal(verifier(clock), f"{header}.{payload}.")


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_the_public_key_does_not_serve_as_an_hmac_secret(algorithm: str, clock: FakeClock) -> None:
    body = b".".join((b64(b'{"alg":"HS256","typ":"JWT"}'), b64(json.dumps(claims(clock)).encode())))
    for secret in (public_pem(algorithm), public_pem(algorithm).strip()):
        signature = jwt.get_algorithm_by_name("HS256").sign(body, secret.encode())
        token = b".".join((body, b64(signature))).decode()
        assert "(alg) that is not accepted" in await refusal(verifier(clock, algorithm), token)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"exp": None}, "no end of validity (exp)", id="no-exp"),
        pytest.param({"exp": "1"}, "exp of the token is not a time", id="exp-text"),
        pytest.param({"exp": True}, "exp of the token is not a time", id="exp-bool"),
        pytest.param({"exp": [9e9]}, "exp of the token is not a time", id="exp-list"),
        pytest.param({"exp": -1}, "exp of the token is not a time", id="exp-negative"),
        pytest.param({"exp": 1e300}, "exp of the token is not a time", id="exp-huge"),
        pytest.param({"exp": 2**63}, "exp of the token is not a time", id="exp-64-bits"),
        pytest.param({"nbf": "soon"}, "nbf of the token is not a time", id="nbf-text"),
        pytest.param({"nbf": {}}, "nbf of the token is not a time", id="nbf-object"),
        pytest.param({"aud": None}, "meant for another server (aud)", id="no-aud"),
        pytest.param({"aud": "other"}, "meant for another server (aud)", id="aud"),
        pytest.param({"aud": "baud2"}, "meant for another server (aud)", id="aud-longer"),
        pytest.param({"aud": "BAUD"}, "meant for another server (aud)", id="aud-case"),
        pytest.param({"aud": "x baud"}, "meant for another server (aud)", id="aud-with-space"),
        pytest.param({"aud": []}, "meant for another server (aud)", id="aud-empty"),
        pytest.param({"aud": ["other", "another"]}, "meant for another server (aud)", id="auds"),
        pytest.param({"aud": {"baud": 1}}, "aud of the token is neither", id="aud-object"),
        pytest.param({"aud": ["baud", 1]}, "aud of the token is neither", id="aud-mixed"),
        pytest.param({"sub": None}, "it has no sub", id="no-sub"),
        pytest.param({"sub": ""}, "user of the token (sub) is not a text", id="sub-empty"),
        pytest.param({"sub": 7}, "user of the token (sub) is not a text", id="sub-number"),
        pytest.param({"sub": ["alice"]}, "user of the token (sub) is not a text", id="sub-list"),
        pytest.param({"sub": "a\nb"}, "user of the token (sub) is not a text", id="sub-lines"),
        pytest.param({"sub": "a" * 256}, "user of the token (sub) is not a text", id="sub-long"),
    ],
)
async def test_wrong_claims_are_refused_by_name(changes: dict[str, Any], expected: str, clock: FakeClock) -> None:
    assert expected in await refusal(verifier(clock), sign(claims(clock, **changes)))


@pytest.mark.parametrize("issuer", OTHER_ISSUERS, ids=repr)
async def test_the_issuer_is_compared_exactly(issuer: object, clock: FakeClock) -> None:
    assert "another issuer (iss)" in await refusal(verifier(clock), sign(claims(clock, iss=issuer)))


async def test_validity_begins_and_ends_with_the_leeway(clock: FakeClock) -> None:
    now = clock.now().timestamp()
    checked = verifier(clock, jwt_leeway=10)
    assert "expired (exp)" in await refusal(checked, sign(claims(clock, exp=now - 10)))
    assert "not valid yet (nbf)" in await refusal(checked, sign(claims(clock, nbf=now + 10.5)))
    assert (await checked.verify(sign(claims(clock, exp=now - 9.5, nbf=now + 10)))).expires_at == now + 0.5


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param({"typ": "JWT"}, "names no algorithm (alg)", id="no-alg"),
        pytest.param({"alg": ["HS256"]}, "names no algorithm (alg)", id="alg-list"),
        pytest.param({"alg": None}, "names no algorithm (alg)", id="alg-null"),
        pytest.param({"alg": "HS256", "kid": None}, "(kid) is not a text", id="kid-null"),
        pytest.param({"alg": "HS256", "kid": 1}, "(kid) is not a text", id="kid-number"),
        pytest.param({"alg": "HS256", "kid": {"a": 1}}, "(kid) is not a text", id="kid-object"),
        pytest.param({"alg": "HS256", "kid": ["a"]}, "(kid) is not a text", id="kid-list"),
        pytest.param({"alg": "HS256", "kid": ""}, "(kid) is not a text", id="kid-empty"),
        pytest.param({"alg": "HS256", "kid": "k" * 257}, "(kid) is not a text", id="kid-long"),
        pytest.param({"alg": "HS256", "crit": ["exp"], "exp": 1}, "(crit)", id="crit"),
        pytest.param({"alg": "HS256", "crit": []}, "(crit)", id="crit-empty"),
        pytest.param({"alg": "HS256", "crit": ["b64"], "b64": True}, "(crit)", id="crit-b64"),
        pytest.param({"alg": "HS256", "b64": False}, "(crit)", id="b64"),
        pytest.param({"alg": "HS256", "typ": "logout+jwt"}, "(typ)", id="logout-token"),
        pytest.param({"alg": "HS256", "typ": 1}, "(typ)", id="typ-number"),
        pytest.param(b'{"alg":"none","alg":"HS256"}', "a name twice", id="alg-twice"),
        pytest.param(b'{"alg":"HS256","x":{"a":1,"a":2}}', "a name twice", id="inner-name-twice"),
        pytest.param(b'["HS256"]', "not a JSON object", id="list"),
        pytest.param(b"HS256", "not JSON", id="no-json"),
        pytest.param(b'{"alg":"HS256"', "not JSON", id="cut"),
        pytest.param(b'{"alg":"HS256\xff"}', "not JSON", id="no-utf8"),
        pytest.param(b'{"alg":"HS256","x":NaN}', "cannot be taken", id="nan"),
        pytest.param(b'{"alg":"HS256","x":' + b"9" * 2500 + b"}", "cannot be taken", id="long-number"),
        pytest.param({"alg": "HS256", "x5c": ["a" * 3100]}, "longer than 4,096 characters", id="long"),
        pytest.param(b'{"x":' + b"[" * 1500 + b"]" * 1500 + b"}", "more than 100 levels", id="deep"),
    ],
)
async def test_odd_headers_are_refused(header: Any, expected: str, clock: FakeClock) -> None:
    token = sign_bytes(json.dumps(claims(clock)).encode(), header)
    assert expected in await refusal(verifier(clock), token)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        pytest.param(b"hello", "claims of the token are not JSON", id="no-json"),
        pytest.param(b"", "not a signed JWT", id="empty"),
        pytest.param(b"[1]", "not a JSON object", id="list"),
        pytest.param(b'{"sub":"alice","sub":"root"}', "a name twice", id="name-twice"),
        pytest.param(b'{"sub":"\\ud800"}', "claims of the token are not JSON", id="half-a-character"),
        pytest.param(b'{"exp":Infinity}', "cannot be taken", id="infinite"),
        pytest.param(b'{"exp":1e999}', "cannot be taken", id="too-large"),
        pytest.param(b'{"a":' + b'{"a":' * 2000 + b"1" + b"}" * 2001, "more than 100 levels", id="deep"),
    ],
)
async def test_claims_that_cannot_be_taken_are_refused(payload: bytes, expected: str, clock: FakeClock) -> None:
    assert expected in await refusal(verifier(clock), sign_bytes(payload, {"alg": "HS256"}))


async def test_texts_that_are_no_tokens_are_refused(clock: FakeClock) -> None:
    good = sign(claims(clock))
    header, payload, signature = good.split(".")
    others = [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c.d",
        f"{good}.",
        f" {good}",
        f"{good}\n",
        f"{good}=",
        f"{header}=.{payload}.x",
    ]
    others += [f"{header}.{payload}", f"{header}..{signature}", f"Bearer {good}", "bk_0123456789abcdef", "a" * 500]
    for text in others:
        assert "not a signed JWT" in await refusal(verifier(clock), text)
    assert "not JSON in base64url" in await refusal(verifier(clock), f"a.{payload}.{signature}")
    assert "not well-formed" in await refusal(verifier(clock), f"{header}.{payload}a.{signature}")
    assert "not ASCII" in await refusal(verifier(clock), good.replace("e", "\u0435"))
    assert "not ASCII" in await refusal(verifier(clock), good + "\udcff")


async def test_the_size_of_a_token_is_bounded(clock: FakeClock) -> None:
    def padded(size: int) -> str:
        return sign(claims(clock, pad="x" * size))

    size = 12_000
    while len(padded(size)) <= MAX_TOKEN_BYTES:
        size += 1
    assert "longer than 16,384 bytes" in await refusal(verifier(clock), padded(size))
    await verifier(clock).verify(padded(size - 1))


async def test_refusals_hold_no_secret(clock: FakeClock) -> None:
    sentences = [await refusal(verifier(clock), sign(claims(clock), number=1))]
    sentences += [await refusal(verifier(clock), sign(claims(clock, aud="other", sub="bob")))]
    assert [text for text in sentences if SECRET in text or "bob" in text or private_key("HS256") in text] == []
