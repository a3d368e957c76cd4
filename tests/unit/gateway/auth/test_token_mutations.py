"""No change of a valid token, however small, is accepted; and no text at all makes more than a refusal."""

from functools import cache

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.service.auth.jwt_verifier import JwtVerifier
from shared.errors import InvalidCredentialError
from tests.fakes.fake_clock import FakeClock
from tests.unit.gateway.auth.token_scene import claims, refusal, sign, verifier

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \n"


@cache
def scene(algorithm: str) -> tuple[JwtVerifier, str]:
    clock = FakeClock()
    return verifier(clock, algorithm), sign(claims(clock), algorithm)


@st.composite
def mutations(draw: st.DrawFn, token: str) -> str:
    """Return the token with characters replaced, put in, taken out, repeated, or with its parts in another order."""
    kind = draw(st.sampled_from(["replace", "insert", "remove", "cut", "repeat", "parts", "case"]))
    begin = draw(st.integers(0, len(token) - 1))
    end = draw(st.integers(begin + 1, min(len(token), begin + 8)))
    if kind == "parts":
        return ".".join(draw(st.lists(st.sampled_from(token.split(".")), max_size=4)))
    middle = {
        "replace": draw(st.text(_ALPHABET, min_size=end - begin, max_size=end - begin)),
        "insert": draw(st.text(_ALPHABET, min_size=1, max_size=8)) + token[begin:end],
        "remove": "",
        "cut": "",
        "repeat": token[begin:end] * 2,
        "case": token[begin:end].swapcase(),
    }[kind]
    return token[:begin] + middle + ("" if kind == "cut" else token[end:])


@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "PS256", "ES256", "EdDSA"])
@given(data=st.data())
async def test_a_changed_token_is_refused(algorithm: str, data: st.DataObject) -> None:
    checked, token = scene(algorithm)
    await checked.verify(token)
    changed = data.draw(mutations(token))
    assume(changed != token)
    assert await refusal(checked, changed)


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
async def test_any_text_is_refused_and_nothing_worse(text: str) -> None:
    checked, _ = scene("ES256")
    with pytest.raises(InvalidCredentialError):
        await checked.verify(text)
