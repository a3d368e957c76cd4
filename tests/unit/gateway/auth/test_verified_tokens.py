"""A verified token is remembered under its hash: never beyond its end, a minute, its key or the bound."""

import pytest

from gateway.service.auth.verified_tokens import VerifiedTokens, digest_of
from shared.contract.principal import ANONYMOUS
from tests.fakes.fake_clock import FakeClock
from tests.unit.gateway.auth.token_scene import claims, refusal, sign, verifier


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def test_a_token_is_verified_once_while_it_is_remembered(clock: FakeClock) -> None:
    checked, token = verifier(clock), sign(claims(clock))
    first = await checked.verify(token)
    assert await checked.verify(token) is first
    clock.advance(60)
    again = await checked.verify(token)
    assert again == first
    assert again is not first


async def test_a_remembered_token_expires_at_its_end(clock: FakeClock) -> None:
    checked, token = verifier(clock, jwt_leeway=0), sign(claims(clock, exp=clock.now().timestamp() + 20))
    await checked.verify(token)
    clock.advance(19.9)
    await checked.verify(token)
    clock.advance(0.2)
    assert "expired" in await refusal(checked, token)


async def test_a_token_in_its_leeway_is_not_remembered(clock: FakeClock) -> None:
    checked, token = verifier(clock), sign(claims(clock, exp=clock.now().timestamp() - 5))
    first = await checked.verify(token)
    assert await checked.verify(token) is not first


async def test_tokens_that_begin_alike_are_told_apart(clock: FakeClock) -> None:
    checked, token = verifier(clock), sign(claims(clock))
    await checked.verify(token)
    end = "A" if token[-2] != "A" else "B"
    for other in (token[:-1], token[:-2] + end + token[-1], f"{token}A", sign(claims(clock), number=1)):
        assert await refusal(checked, other)


def test_the_least_recently_used_go_first(clock: FakeClock) -> None:
    kept = VerifiedTokens(clock, max_tokens=3)
    digests = [digest_of(str(number)) for number in range(4)]
    for digest in digests[:3]:
        kept.keep(digest, ANONYMOUS, key_version=1, seconds_left=30)
    assert kept.find(digests[0], 1)
    kept.keep(digests[3], ANONYMOUS, key_version=1, seconds_left=30)
    assert [kept.find(digest, 1) is not None for digest in digests] == [True, False, True, True]


def test_a_change_of_keys_forgets_what_was_verified_before(clock: FakeClock) -> None:
    kept = VerifiedTokens(clock)
    kept.keep(digest_of("token"), ANONYMOUS, key_version=1, seconds_left=30)
    assert kept.find(digest_of("token"), 2) is None
    assert kept.find(digest_of("token"), 1) is None
