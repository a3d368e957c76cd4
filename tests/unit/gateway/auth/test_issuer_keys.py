"""When the keys of an issuer are fetched, how long they are used, and what happens while the issuer is away."""

import asyncio
import logging
from typing import Any

import pytest

from gateway.service.auth.jwks import IssuerKeys
from gateway.service.auth.jwt_verifier import JwtVerifier
from shared.auth_config import AuthConfig
from shared.errors import IssuerUnavailableError
from tests.fakes.fake_clock import FakeClock
from tests.fakes.fake_key_publisher import FakeKeyPublisher
from tests.unit.gateway.auth.token_scene import claims, config, jwk, refusal, sign

UNKNOWN_KEY = "a key (kid) that its issuer does not publish"
TIMES: dict[str, Any] = {
    "jwks_refresh": 300, "jwks_lifetime": 900, "jwks_max_stale": 86_400, "jwks_cooldown": 30, "jwks_timeout": 60,
}  # fmt: skip


class Scene:
    """A verifier over an issuer that publishes the key "one"."""

    def __init__(self, *keys: Any) -> None:
        self.clock = FakeClock()
        self.publisher = FakeKeyPublisher(*(keys or (jwk("ES256"),)))
        self.config: AuthConfig = config("ES256", jwt_public_key="", **TIMES)
        self.keys = IssuerKeys(self.publisher, self.config, self.clock)
        self.verifier = JwtVerifier(self.config, self.keys, self.clock)
        self._made = 0

    def token(self, number: int = 0, **header: Any) -> str:
        """Return a token that no cache knows."""
        self._made += 1
        return sign(claims(self.clock, jti=self._made), "ES256", number, **header)

    async def accept(self, number: int = 0, **header: Any) -> None:
        assert (await self.verifier.verify(self.token(number, **{"kid": "one", **header}))).user == "alice"

    async def refuse(self, number: int = 0, **header: Any) -> str:
        return await refusal(self.verifier, self.token(number, **header))

    async def settle(self) -> None:
        """Let the fetch under way end."""
        for task in asyncio.all_tasks():
            if task.get_name() == "fetch keys of the issuer":
                await asyncio.wait([task])


async def test_keys_are_fetched_once_for_all_that_ask_at_the_same_time() -> None:
    scene = Scene()
    scene.publisher.gate.clear()
    asking = [asyncio.create_task(scene.accept()) for _ in range(50)]
    asking[0].cancel()
    await asyncio.sleep(0)
    scene.publisher.gate.set()
    await asyncio.gather(*asking[1:])
    assert scene.publisher.fetches == 1


async def test_old_keys_are_used_while_new_ones_are_fetched() -> None:
    scene = Scene()
    await scene.accept()
    scene.clock.advance(299)
    await scene.accept()
    assert scene.publisher.fetches == 1
    scene.clock.advance(2)
    scene.publisher.gate.clear()
    async with asyncio.timeout(5):
        await scene.accept()
        await scene.accept()
    await asyncio.sleep(0)
    assert scene.publisher.fetches == 2
    scene.publisher.gate.set()
    await scene.settle()


async def test_keys_that_were_removed_are_not_used_after_the_refresh() -> None:
    scene = Scene(jwk("ES256", "one"), jwk("ES256", "two", 1))
    remembered = scene.token(kid="one")
    await scene.verifier.verify(remembered)
    scene.publisher.keys = [jwk("ES256", "two", 1)]
    scene.clock.advance(301)
    await scene.accept(1, kid="two")
    await scene.settle()
    for token in (remembered, scene.token(kid="one")):
        assert UNKNOWN_KEY in await refusal(scene.verifier, token)


async def test_a_refresh_that_removes_a_key_forgets_tokens_verified_by_it() -> None:
    scene = Scene()
    scene.clock.advance(1)
    await scene.accept()
    scene.clock.advance(299)
    remembered = scene.token(kid="one")
    await scene.verifier.verify(remembered)
    scene.publisher.keys = [jwk("ES256", "two", 1)]
    scene.clock.advance(2)
    await scene.accept()
    await scene.settle()
    assert UNKNOWN_KEY in await refusal(scene.verifier, remembered)


async def test_after_their_lifetime_requests_wait_for_new_keys() -> None:
    scene = Scene()
    await scene.accept()
    scene.publisher.keys = [jwk("ES256", "one", 1)]
    scene.clock.advance(900)
    await scene.accept(1)
    assert scene.publisher.fetches == 2


async def test_a_rotated_key_is_fetched_at_its_first_token() -> None:
    scene = Scene()
    await scene.accept()
    scene.publisher.keys += [jwk("ES256", "two", 1)]
    await scene.accept(1, kid="two")
    assert scene.publisher.fetches == 2


async def test_forged_key_ids_make_one_fetch_in_a_cooldown() -> None:
    scene = Scene()
    await scene.accept()
    for number in range(20):
        assert UNKNOWN_KEY in await scene.refuse(1, kid=f"forged-{number}")
    assert scene.publisher.fetches == 2
    scene.clock.advance(30)
    assert UNKNOWN_KEY in await scene.refuse(1, kid="forged")
    assert scene.publisher.fetches == 3


async def test_a_known_key_id_with_a_bad_signature_makes_no_fetch() -> None:
    scene = Scene()
    await scene.accept()
    assert "signature" in await scene.refuse(1, kid="one")
    assert scene.publisher.fetches == 1


async def test_without_key_ids_every_fitting_key_is_tried_and_a_rotation_is_seen() -> None:
    scene = Scene(jwk("ES256", "one"), jwk("ES256", None, 1))
    for number in (0, 1):
        await scene.verifier.verify(scene.token(number))
    scene.publisher.keys = [jwk("ES256", "three", 2)]
    await scene.verifier.verify(scene.token(2))
    assert scene.publisher.fetches == 2
    assert "signature" in await scene.refuse(3)
    assert scene.publisher.fetches == 2


async def test_an_issuer_that_is_away_costs_nothing_for_a_day() -> None:
    scene = Scene()
    await scene.accept()
    scene.publisher.is_away = True
    scene.clock.advance(86_000)
    await scene.accept()
    scene.clock.advance(401)
    with pytest.raises(IssuerUnavailableError):
        await scene.accept()
    scene.publisher.is_away = False
    scene.clock.advance(2)
    await scene.accept()


async def test_nobody_waits_for_an_issuer_that_is_known_to_hang() -> None:
    scene = Scene()
    await scene.accept()
    scene.publisher.is_away = True
    scene.clock.advance(900)
    await scene.accept()
    scene.clock.advance(2)
    scene.publisher.gate.clear()
    async with asyncio.timeout(5):
        await scene.accept()
    await asyncio.sleep(0)
    assert scene.publisher.fetches == 3
    scene.publisher.gate.set()
    await scene.settle()


async def test_without_keys_requests_fail_until_the_issuer_is_back(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    scene.publisher.is_away = True
    for _ in range(5):
        with pytest.raises(IssuerUnavailableError, match=r"cannot be asked for its keys\. Try again"):
            await scene.accept()
    assert scene.publisher.fetches == 1, "a failed fetch is not repeated at once"
    assert "cannot be fetched: the fake issuer is away" in caplog.text
    scene.publisher.is_away = False
    scene.clock.advance(2)
    await scene.accept()


async def test_an_unknown_key_of_an_issuer_that_is_away_may_be_a_new_one() -> None:
    scene = Scene()
    await scene.accept()
    scene.publisher.is_away = True
    for _ in range(5):
        with pytest.raises(IssuerUnavailableError):
            await scene.accept(1, kid="two")
    assert scene.publisher.fetches == 2
    await scene.accept()
    scene.publisher.is_away = False
    scene.publisher.keys += [jwk("ES256", "two", 1)]
    scene.clock.advance(2)
    await scene.accept(1, kid="two")


async def test_a_fetch_has_a_time_limit() -> None:
    scene = Scene()
    scene.config = scene.config.model_copy(update={"jwks_timeout": 0.01})
    scene.keys = IssuerKeys(scene.publisher, scene.config, scene.clock)
    scene.publisher.gate.clear()
    with pytest.raises(IssuerUnavailableError):
        await scene.keys.find("one", "ES256")


async def test_an_issuer_that_publishes_no_usable_key_is_believed() -> None:
    scene = Scene()
    await scene.accept()
    scene.publisher.keys = []
    scene.clock.advance(900)
    assert UNKNOWN_KEY in await scene.refuse(kid="one")


async def test_warming_up_fetches_the_keys_and_raises_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    scene = Scene()
    await scene.verifier.warm_up()
    await scene.accept()
    assert scene.publisher.fetches == 1
    assert "the issuer published new keys" in caplog.text
    away = Scene()
    away.publisher.is_away = True
    await away.verifier.warm_up()


async def test_closing_cancels_the_fetch_and_closes_the_connections() -> None:
    scene = Scene()
    scene.publisher.gate.clear()
    waiting = asyncio.create_task(scene.keys.find("one", "ES256"))
    await asyncio.sleep(0)
    await scene.verifier.aclose()
    with pytest.raises(IssuerUnavailableError):
        await waiting
    assert scene.publisher.is_closed
    assert [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
