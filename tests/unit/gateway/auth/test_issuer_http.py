"""What is fetched from an issuer, from where, and which answers are not believed."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import httpx
import orjson
import pytest

from gateway.service.auth.build_jwt import build_jwt_verifier
from gateway.service.auth.issuer_http import IssuerHttp
from gateway.service.auth.oidc_discovery import JwksEndpoint
from shared.errors import IssuerUnavailableError
from tests.fakes.fake_clock import FakeClock
from tests.unit.gateway.auth.token_scene import ISSUER, claims, config, jwk, sign

DISCOVERY = f"{ISSUER}/.well-known/openid-configuration"
JWKS = "https://keys.example/jwks"
Answer = Callable[[httpx.Request], httpx.Response]


def site(pages: Mapping[str, Any], seen: list[str] | None = None) -> httpx.MockTransport:
    """Return a web of pages: a response, or a JSON value; everything else is 404."""

    def answer(request: httpx.Request) -> httpx.Response:
        if seen is not None:
            seen.append(str(request.url))
        page = pages.get(str(request.url), httpx.Response(404))
        return page if isinstance(page, httpx.Response) else httpx.Response(200, content=orjson.dumps(page))

    return httpx.MockTransport(answer)


def endpoint(transport: httpx.AsyncBaseTransport, *, issuer: str = ISSUER, jwks_url: str = "") -> JwksEndpoint:
    http = IssuerHttp(timeout_seconds=1, trust_env=False, transport=transport)
    return JwksEndpoint(http, issuer=issuer, jwks_url=jwks_url)


async def failure(transport: httpx.AsyncBaseTransport, **options: str) -> str:
    """Return why the keys cannot be fetched; fail if they can."""
    with pytest.raises(IssuerUnavailableError) as caught:
        await endpoint(transport, **options).fetch()
    return caught.value.message


async def test_the_issuer_is_asked_where_its_keys_are() -> None:
    seen: list[str] = []
    pages = {DISCOVERY: {"issuer": ISSUER, "jwks_uri": JWKS}, JWKS: {"keys": [jwk("ES256")]}}
    verifier = build_jwt_verifier(config("ES256", jwt_public_key=""), FakeClock(), site(pages, seen))
    token = sign(claims(FakeClock()), "ES256", kid="one")
    assert (await verifier.verify(token)).user == "alice"
    assert seen == [DISCOVERY, JWKS]
    await verifier.aclose()


async def test_a_given_address_of_keys_needs_no_discovery() -> None:
    seen: list[str] = []
    assert await endpoint(site({JWKS: {"keys": []}}, seen), issuer="any", jwks_url=JWKS).fetch() == []
    assert seen == [JWKS]


@pytest.mark.parametrize("issuer", [f"{ISSUER}/", "https://issuer.example/"])
async def test_a_slash_at_the_end_is_part_of_the_issuer_but_not_of_the_path(issuer: str) -> None:
    document = f"{issuer.removesuffix('/')}/.well-known/openid-configuration"
    pages = {document: {"issuer": issuer, "jwks_uri": JWKS}, JWKS: {"keys": []}}
    assert await endpoint(site(pages), issuer=issuer).fetch() == []


@pytest.mark.parametrize("named", [f"{ISSUER}/", ISSUER.upper(), ISSUER[:-1], "", None, 7, [ISSUER]], ids=repr)
async def test_a_document_of_another_issuer_is_refused_with_advice(named: object) -> None:
    pages = {DISCOVERY: {"issuer": named, "jwks_uri": JWKS}, JWKS: {"keys": [jwk("ES256")]}}
    assert "set auth.jwt_issuer to exactly that name" in await failure(site(pages))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        pytest.param("http://keys.example/jwks", "must begin with https://", id="http"),
        pytest.param("file:///etc/passwd", "must be a URL", id="file"),
        pytest.param("https://user:secret@keys.example/", "neither a user nor a password", id="password"),
        pytest.param("/jwks", "must be a URL", id="relative"),
        pytest.param("https://[::1", "must be a URL", id="broken"),
        pytest.param("https://k\u0435ys.example/", "must be a URL", id="not-ascii"),
        pytest.param(None, "set auth.jwks_url", id="absent"),
        pytest.param([JWKS], "set auth.jwks_url", id="list"),
    ],
)
async def test_the_keys_are_fetched_from_safe_addresses_only(address: object, expected: str) -> None:
    seen: list[str] = []
    assert expected in await failure(site({DISCOVERY: {"issuer": ISSUER, "jwks_uri": address}}, seen))
    assert seen == [DISCOVERY]


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/k", "http://localhost/k", "http://[::1]:9/k"])
async def test_plain_http_is_for_this_machine(address: str) -> None:
    assert await endpoint(site({address: {"keys": []}}), jwks_url=address).fetch() == []


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(httpx.Response(302, headers={"Location": JWKS + "2"}), "answers 302", id="redirect"),
        pytest.param(httpx.Response(500), "answers 500", id="error"),
        pytest.param(httpx.Response(204), "answers 204", id="empty"),
        pytest.param(httpx.Response(200, content=b"<html>"), "not JSON", id="html"),
        pytest.param(httpx.Response(200, content=b"[" * 200_000), "not JSON", id="deep"),
        pytest.param(httpx.Response(200, content=b"x" * 262_145), "more than 262144 bytes", id="large"),
        pytest.param(httpx.Response(200, content=b"[]"), "not a JSON object", id="list"),
        pytest.param({}, "has no list of keys", id="no-keys"),
        pytest.param({"keys": {"one": {}}}, "has no list of keys", id="keys-as-object"),
    ],
)
async def test_answers_that_are_no_keys_are_refused(answer: Any, expected: str) -> None:
    seen: list[str] = []
    assert expected in await failure(site({JWKS: answer}, seen), jwks_url=JWKS)
    assert seen == [JWKS]


async def test_what_is_compressed_is_not_unpacked() -> None:
    async def bomb() -> AsyncIterator[bytes]:
        yield b"\x1f\x8b" + bytes(100)

    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers["accept-encoding"])
        return httpx.Response(200, content=bomb(), headers={"Content-Encoding": "gzip"})

    assert "compressed" in await failure(httpx.MockTransport(answer), jwks_url=JWKS)
    assert asked == ["identity"]


@pytest.mark.parametrize(
    "error",
    [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("odd"), httpx.InvalidURL("x")],
    ids=lambda error: type(error).__name__,
)
async def test_failures_of_the_network_are_told_by_kind(error: Exception) -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise error

    assert type(error).__name__ in await failure(httpx.MockTransport(fail), jwks_url=JWKS)


async def test_a_body_that_drips_is_cut_by_the_time_limit(caplog: pytest.LogCaptureFixture) -> None:
    async def drip() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0)

    changes: dict[str, Any] = {"jwt_public_key": "", "jwks_url": JWKS, "jwks_timeout": 0.05}
    transport = site({JWKS: httpx.Response(200, content=drip())})
    verifier = build_jwt_verifier(config("ES256", **changes), FakeClock(), transport)
    with pytest.raises(IssuerUnavailableError):
        await verifier.verify(sign(claims(FakeClock()), "ES256", kid="one"))
    assert "cannot be fetched" in caplog.text
    await verifier.aclose()
