"""Tokens of a real OpenID Connect issuer: found by discovery, verified, and what a rotation or an outage does."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.service.auth.build_jwt import build_jwt_verifier
from gateway.service.auth.jwt_verifier import JwtVerifier
from shared.auth_config import AuthConfig, AuthMode
from shared.contract.principal import Scope
from shared.errors import InvalidCredentialError, IssuerUnavailableError
from tests.fakes.fake_clock import FakeClock
from tests.integration.oidc_issuer import OidcIssuer

ALICE: dict[str, Any] = {"sub": "alice", "org": {"id": "acme"}, "realm_access": {"roles": ["offline", "builder"]}}


@pytest.fixture
async def issuer() -> AsyncIterator[OidcIssuer]:
    async with OidcIssuer(ALICE) as running:
        yield running


Build = Callable[..., Awaitable[JwtVerifier]]


@pytest.fixture
async def build(issuer: OidcIssuer) -> AsyncIterator[Build]:
    """Make verifiers for clients called "baud"; they are closed after the test."""
    async with AsyncExitStack() as stack:

        async def make(clock: FakeClock | None = None, **changes: Any) -> JwtVerifier:
            config = AuthConfig(mode=AuthMode.JWT, jwt_issuer=issuer.url, jwt_audience=("baud",))
            verifier = build_jwt_verifier(config.model_copy(update=changes), clock)
            stack.push_async_callback(verifier.aclose)
            return verifier

        yield make


async def id_token(issuer: OidcIssuer, client_id: str = "baud") -> str:
    token: str = (await issuer.sign_in("alice", client_id))["id_token"]
    return token


async def test_a_token_makes_the_principal_that_its_claims_say(issuer: OidcIssuer, build: Build) -> None:
    verifier = await build(
        claim_tenant="org.id", claim_roles="realm_access.roles", role_scopes={"builder": (Scope.READ, Scope.RUN)}
    )
    principal = await verifier.verify(await id_token(issuer))
    assert (principal.tenant, principal.user) == ("acme", "alice")
    assert principal.scopes == {Scope.READ, Scope.RUN}
    assert principal.credential == f"jwt:{issuer.url}"


async def test_tokens_for_others_and_opaque_tokens_are_refused(issuer: OidcIssuer, build: Build) -> None:
    verifier = await build()
    with pytest.raises(InvalidCredentialError, match=r"another server \(aud\)"):
        await verifier.verify(await id_token(issuer, "another-client"))
    with pytest.raises(InvalidCredentialError, match="not a signed JWT"):
        await verifier.verify((await issuer.sign_in("alice", "baud"))["access_token"])
    other = await build(jwt_issuer=f"{issuer.url}/", jwks_url=f"{issuer.url}/jwks")
    with pytest.raises(InvalidCredentialError, match="another issuer"):
        await other.verify(await id_token(issuer))


async def test_a_token_expires(issuer: OidcIssuer, build: Build) -> None:
    clock = FakeClock(datetime.now(UTC))
    verifier, token = await build(clock), await id_token(issuer)
    await verifier.verify(token)
    clock.advance(2 * 3600)
    with pytest.raises(InvalidCredentialError, match="expired"):
        await verifier.verify(token)


async def test_an_issuer_of_another_name_is_not_asked_for_keys(
    issuer: OidcIssuer, build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    verifier = await build(jwt_issuer=f"http://localhost:{issuer.port}/")
    with pytest.raises(IssuerUnavailableError):
        await verifier.verify(await id_token(issuer))
    assert "set auth.jwt_issuer to exactly that name" in caplog.text


async def test_a_rotated_key_serves_at_once_and_the_old_one_no_more(issuer: OidcIssuer, build: Build) -> None:
    verifier, old = await build(), await id_token(issuer)
    await verifier.verify(old)
    await issuer.stop()
    await issuer.start()
    assert (await verifier.verify(await id_token(issuer))).user == "alice"
    with pytest.raises(InvalidCredentialError, match="signature"):
        await verifier.verify(old)


async def test_an_outage_of_the_issuer_stops_only_who_has_no_keys_yet(issuer: OidcIssuer, build: Build) -> None:
    clock = FakeClock(datetime.now(UTC))
    verifier, fresh = await build(clock), await build(clock, jwks_timeout=0.5)
    token, later = await id_token(issuer), await id_token(issuer)
    await verifier.verify(token)
    issuer.pause()
    with pytest.raises(IssuerUnavailableError):
        await fresh.verify(token)
    await issuer.stop()
    clock.advance(3000)
    assert (await verifier.verify(later)).user == "alice"
    with pytest.raises(IssuerUnavailableError):
        await fresh.verify(token)
    await issuer.start()
    clock.advance(2)
    assert (await fresh.verify(await id_token(issuer))).user == "alice"
