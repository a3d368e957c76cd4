"""What claims make of a principal: user, tenant, scopes, and which claim holds them."""

from typing import Any

import pytest

from shared.contract.principal import Principal, Scope
from tests.fakes.fake_clock import FakeClock
from tests.unit.gateway.auth.token_scene import claims, refusal, sign, verifier

_ROLES = {"viewer": (Scope.READ,), "builder": (Scope.READ, Scope.RUN), "baud:admin": (Scope.ADMIN,)}


async def principal(body: dict[str, Any], **config: Any) -> Principal:
    clock = FakeClock()
    return await verifier(clock, **config).verify(sign({**claims(clock), **body}))


async def refused(body: dict[str, Any], **config: Any) -> str:
    clock = FakeClock()
    return await refusal(verifier(clock, **config), sign({**claims(clock), **body}))


@pytest.mark.parametrize(
    ("name", "body"),
    [
        pytest.param("email", {"email": "a@x.example"}, id="plain"),
        pytest.param("user.email", {"user": {"email": "a@x.example"}}, id="path"),
        pytest.param("a.b.c", {"a": {"b": {"c": "a@x.example"}}}, id="long-path"),
        pytest.param("a.b.c", {"a": {"b.c": "a@x.example"}}, id="rest-with-dot"),
        pytest.param("https://x.example/user", {"https://x.example/user": "a@x.example"}, id="url"),
        pytest.param("a.b", {"a.b": "a@x.example", "a": {"b": "other"}}, id="name-before-path"),
    ],
)
async def test_the_user_is_read_from_the_claim_of_the_configuration(name: str, body: dict[str, Any]) -> None:
    assert (await principal(body, claim_user=name)).user == "a@x.example"


@pytest.mark.parametrize("body", [{}, {"a": {}}, {"a": "b"}, {"a": ["b"]}, {"a": {"b": None}}, {"a": None}], ids=repr)
async def test_a_path_that_leads_nowhere_is_a_missing_claim(body: dict[str, Any]) -> None:
    assert "it has no a.b" in await refused(body, claim_user="a.b")


async def test_users_may_be_any_printable_text() -> None:
    for user in ("auth0|5f7c", "repo:org/name:ref", "Zoë Müller", "a" * 255):
        assert (await principal({"sub": user})).user == user


async def test_without_a_tenant_claim_all_are_of_the_default_tenant() -> None:
    assert (await principal({"tenant": "acme"})).tenant == "default"
    assert (await principal({}, default_tenant="house")).tenant == "house"


async def test_a_tenant_claim_decides_the_tenant_and_must_be_there() -> None:
    assert (await principal({"org": {"id": "acme"}}, claim_tenant="org.id")).tenant == "acme"
    assert "of which tenant its user is: it has no org.id" in await refused({"org": {}}, claim_tenant="org.id")
    assert (await principal({}, claim_tenant="org.id", require_tenant=False)).tenant == "default"


@pytest.mark.parametrize("tenant", ["", "a:b", "{a}", "a\n", 7, ["acme"], {"id": "acme"}, "t" * 129], ids=repr)
async def test_a_tenant_that_cannot_be_an_id_is_refused_though_none_is_required(tenant: object) -> None:
    sentence = await refused({"tenant": tenant}, claim_tenant="tenant", require_tenant=False)
    assert "cannot be the id of a tenant" in sentence


@pytest.mark.parametrize(
    ("name", "body", "expected"),
    [
        pytest.param("roles", {"roles": ["viewer"]}, {Scope.READ}, id="list"),
        pytest.param("roles", {"roles": ["viewer", "x", "builder"]}, {Scope.READ, Scope.RUN}, id="union"),
        pytest.param("scope", {"scope": "openid baud:admin viewer"}, {Scope.ADMIN, Scope.READ}, id="scope-claim"),
        pytest.param("realm_access.roles", {"realm_access": {"roles": ["baud:admin"]}}, {Scope.ADMIN}, id="keycloak"),
        pytest.param("roles", {"roles": ["admin", "run", "read"]}, set(), id="names-of-scopes-are-no-roles"),
        pytest.param("roles", {"roles": ["Viewer", "viewer "]}, set(), id="exact"),
        pytest.param("roles", {"roles": []}, set(), id="empty"),
        pytest.param("roles", {"roles": None}, set(), id="null"),
        pytest.param("roles", {}, set(), id="absent"),
    ],
)
async def test_roles_give_configured_scopes(name: str, body: dict[str, Any], expected: set[Scope]) -> None:
    assert (await principal(body, claim_roles=name, role_scopes=_ROLES)).scopes == expected


@pytest.mark.parametrize("roles", [7, True, {"viewer": 1}, ["viewer", 1], [["viewer"]]], ids=repr)
async def test_roles_of_another_type_are_refused(roles: object) -> None:
    sentence = await refused({"roles": roles}, claim_roles="roles", role_scopes=_ROLES)
    assert sentence == "roles of the token is neither a text nor a list of texts."


async def test_without_a_roles_claim_every_token_has_the_configured_scopes() -> None:
    assert (await principal({"scope": "admin", "roles": ["admin"]})).scopes == {Scope.READ, Scope.RUN}
    assert (await principal({}, jwt_scopes=(Scope.READ,))).scopes == {Scope.READ}


@pytest.mark.parametrize("name", ["azp", "client_id", "ext.app"])
async def test_the_audience_may_be_in_another_claim(name: str) -> None:
    good: dict[str, Any] = {"ext": {"app": "baud"}} if "." in name else {name: "baud"}
    await principal({**good, "aud": "another"}, jwt_audience_claim=name)
    assert f"({name})" in await refused({"aud": "baud"}, jwt_audience_claim=name)


async def test_one_of_several_audiences_suffices() -> None:
    await principal({"aud": ["other", "baud-b"]}, jwt_audience=("baud-a", "baud-b"))
