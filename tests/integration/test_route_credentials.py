"""Every route with every kind of credential: one table, which docs/security.md holds as well.

A route that is added without a line here fails, and so does one that answers a credential differently.
"""

import hmac
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from shared.contract.principal import ALL_SCOPES, Scope
from shared.db.api_keys import ApiKeyStore
from shared.db.stores import make_sql_stores
from shared.settings.model import Settings
from tests.documented import served_routes
from tests.fakes.fake_clock import FakeClock
from tests.integration.conftest import StartGateway
from tests.integration.gateway_process import GatewayProcess
from tests.unit.gateway.auth.token_scene import b64, public_pem, sign

ISSUER, AUDIENCE = "https://issuer.example", "baud"
DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "security.md"
_BEGIN, _END = "<!-- table of routes: begin -->\n", "<!-- table of routes: end -->\n"
_ADMIN, _USER, _READER = "admin", "user", "reader"
ROLE_SCOPES: Final = {_ADMIN: ["read", "run", "admin"], _USER: ["read", "run"], _READER: ["read"], "none": []}


@dataclass(frozen=True)
class Request:
    """How a route is called by somebody who may, and what it answers then."""

    status: int
    needs: Scope | None = Scope.READ  # None: open to everybody
    body: Mapping[str, Any] | None = None
    query: Mapping[str, str] = field(default_factory=dict)

    def body_with(self, ids: Mapping[str, str]) -> Mapping[str, Any] | None:
        """Return the body with these ids."""
        if self.body is None:
            return None
        return {name: value.format_map(ids) if isinstance(value, str) else value for name, value in self.body.items()}


_WITH_RUN: Final = {"flowUuid": "{thread_id}", "flowInputUuid": "{run_id}"}
ROUTES: Final[Mapping[str, Request]] = {
    "GET /live": Request(200, None),
    "HEAD /live": Request(200, None),
    "GET /ready": Request(200, None),
    "HEAD /ready": Request(200, None),
    "GET /health": Request(200, None),
    "HEAD /health": Request(200, None),
    "GET /openapi.json": Request(200, None),
    "HEAD /openapi.json": Request(200, None),
    "POST /api/agent/initiate": Request(200, Scope.RUN, {}),
    "GET /api/agent/threads": Request(200),
    "GET /api/agent/{thread_id}": Request(200),
    "DELETE /api/agent/{thread_id}": Request(204, Scope.RUN),
    "GET /api/agent/{thread_id}/messages": Request(200),
    "POST /api/agent/{thread_id}/execute": Request(200, Scope.RUN, {"task": "x"}),
    "GET /api/agent/{thread_id}/runs": Request(200),
    "GET /api/agent/{thread_id}/runs/{run_id}": Request(200),
    "GET /api/agent/{thread_id}/runs/{run_id}/why": Request(200),
    "GET /api/agent/{thread_id}/runs/{run_id}/stream": Request(200),
    "POST /api/agent/{thread_id}/runs/{run_id}/cancel": Request(202, Scope.RUN),
    "POST /api/agent/{thread_id}/runs/{run_id}/input": Request(409, Scope.RUN, {"answer": "x"}),  # it waits for none
    "GET /api/agent/{thread_id}/stream": Request(200),
    "PUT /api/agent/{thread_id}/shares/{user}": Request(200, Scope.RUN, {"role": "viewer"}),
    "DELETE /api/agent/{thread_id}/shares/{user}": Request(200, Scope.RUN),
    "GET /api/agent/runs/{run_id}": Request(200),
    "POST /api/stream-tickets": Request(200, body={"thread_id": "{thread_id}"}),
    "GET /agent/event-stream": Request(200, query=_WITH_RUN),
    "WS /ws/agent/{thread_id}": Request(101),
    "GET /api/keys": Request(200, Scope.ADMIN),
    "POST /api/keys": Request(201, Scope.ADMIN, {"scopes": ["read"]}),
    "DELETE /api/keys/{key_id}": Request(404, Scope.ADMIN),
}
_OF_NO_THREAD: Final = frozenset({"POST /api/agent/initiate", "GET /api/agent/threads"})
INVALID: Final = (
    "expired token", "wrong audience", "wrong key", "alg: none", "HMAC with the public key", "unknown API key",
    "revoked API key", "expired API key",
)  # fmt: skip
KINDS: Final = ("none", *INVALID, "wrong scope", "foreign tenant", "foreign thread", "viewer", "owner", "admin")


def expected(route: str, kind: str) -> int:
    """Return what the contract names."""
    request = ROUTES[route]
    if route.endswith("/openapi.json"):
        return request.status if kind not in ("none", *INVALID) else 401
    if request.needs is None:
        return request.status
    if kind in ("none", *INVALID):
        return 401
    if kind == "wrong scope":
        return 403
    if request.needs is Scope.ADMIN:
        is_of_own_tenant = route == "GET /api/keys"  # the other tenant has an admin, and no keys
        allowed = {"admin": request.status, "foreign tenant": request.status if is_of_own_tenant else 404}
        return allowed.get(kind, 403)
    if route in _OF_NO_THREAD:
        return request.status
    if kind in ("foreign tenant", "foreign thread"):
        return 404
    return 403 if kind == "viewer" and request.needs is Scope.RUN else request.status


def table() -> str:
    """Return the table as docs/security.md has it, with the kinds of invalid credentials in one column."""
    columns = ("none", "invalid", "wrong scope", "foreign tenant", "foreign thread", "viewer", "owner", "admin")
    lines = [f"| route | {' | '.join(columns)} |", "| --- |" + " --- |" * len(columns)]
    for route in ROUTES:
        cells = [str(expected(route, INVALID[0] if kind == "invalid" else kind)) for kind in columns]
        lines.append(f"| `{route}` | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _token(user: str, role: str, *, tenant: str = "acme", **changes: Any) -> str:
    return sign(_claims(user, role, tenant, **changes), "RS256")


def _claims(user: str, role: str, tenant: str = "acme", **changes: Any) -> dict[str, Any]:
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": user, "exp": now + 600, "tenant": tenant, "roles": [role]}
    return {**claims, **changes}


def _tokens() -> dict[str, str]:
    good = _claims("alice", _USER)
    return {
        "expired token": _token("alice", _USER, exp=int(time.time()) - 600),
        "wrong audience": _token("alice", _USER, aud="another"),
        "wrong key": sign(good, "RS256", 1),
        "alg: none": _by_hand(good, "none", b""),
        "HMAC with the public key": _by_hand(good, "HS256", public_pem("RS256").encode()),
        "wrong scope": _token("alice", "none"),
        "foreign tenant": _token("alice", _ADMIN, tenant="evil"),
        "foreign thread": _token("mallory", _USER),
        "viewer": _token("vera", _USER),
        "owner": _token("alice", _USER),
        "admin": _token("boss", _ADMIN),
    }


def _by_hand(claims: Mapping[str, Any], algorithm: str, key: bytes) -> str:
    """Return a token as no library would make it; an empty key makes an empty signature."""
    head = b64(json.dumps({"alg": algorithm, "typ": "JWT"}).encode())
    signed = head + b"." + b64(json.dumps(claims).encode())
    signature = hmac.digest(key, signed, "sha256") if key else b""
    return (signed + b"." + b64(signature)).decode()


async def _keys(folder: Path) -> dict[str, str]:
    stores = make_sql_stores(Settings(data_dir=folder))
    yesterday = FakeClock(datetime.now(UTC) - timedelta(days=1))
    async with stores.database as database:
        await stores.tenants.create("acme")
        valid = await stores.api_keys.create(tenant="acme", user_id="alice", scopes=ALL_SCOPES)
        revoked = await stores.api_keys.create(tenant="acme", user_id="alice", scopes=ALL_SCOPES)
        await stores.api_keys.revoke("acme", revoked.key.id)
        expired = await ApiKeyStore(database, yesterday).create(
            tenant="acme", user_id="alice", scopes=ALL_SCOPES, expires_at=yesterday.now() + timedelta(hours=1)
        )
    unknown = f"baud_{secrets.token_hex(4)}_{secrets.token_urlsafe(32)}"
    return {
        "unknown API key": unknown,
        "revoked API key": revoked.text,
        "expired API key": expired.text,
        "valid API key": valid.text,
    }


@dataclass
class Caller:
    """Calls routes of one gateway with one credential after the other."""

    gateway: GatewayProcess
    credentials: Mapping[str, str]

    async def make_thread(self) -> dict[str, str]:
        """Return the ids of a thread of alice that vera may read, with a run on it."""
        headers = self.headers("owner")
        http = self.gateway.http
        thread_id = (await http.post("/api/agent/initiate", headers=headers)).json()["thread_id"]
        run = await http.post(f"/api/agent/{thread_id}/execute", json={"task": "x"}, headers=headers)
        await http.put(f"/api/agent/{thread_id}/shares/vera", json={"role": "viewer"}, headers=headers)
        return {"thread_id": thread_id, "run_id": run.json()["run_id"], "user": "walter", "key_id": "x"}

    def headers(self, kind: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.credentials[kind]}"} if kind in self.credentials else {}

    async def status(self, route: str, kind: str, ids: Mapping[str, str]) -> int:
        """Return what the route answers to this kind of credential."""
        method, _, path = route.partition(" ")
        path, request, headers = path.format_map(ids), ROUTES[route], self.headers(kind)
        if method == "WS":
            return await self._shake_hands(path, headers)
        query = {name: value.format_map(ids) for name, value in request.query.items()}
        arguments: dict[str, Any] = {"headers": headers, "params": query, "json": request.body_with(ids)}
        async with self.gateway.http.stream(method, path, **arguments) as answer:
            if answer.status_code in (401, 403, 404):
                await answer.aread()
                assert method == "HEAD" or answer.json().keys() == {"detail", "code", "request_id"}
            if answer.status_code == 401:
                assert answer.headers["www-authenticate"] == "Bearer"
            return answer.status_code

    async def _shake_hands(self, path: str, headers: Mapping[str, str]) -> int:
        try:
            async with connect(f"ws{self.gateway.url.removeprefix('http')}{path}", additional_headers=headers):
                return 101
        except InvalidStatus as refused:
            return refused.response.status_code


@pytest.fixture
async def caller(start_gateway: StartGateway, redis_url: str, tmp_path: Path) -> Caller:
    keys = await _keys(tmp_path)
    gateway = await start_gateway(
        redis_url,
        AUTH__MODE="any",
        AUTH__JWT_ISSUER=ISSUER,
        AUTH__JWT_AUDIENCE=AUDIENCE,
        AUTH__JWT_PUBLIC_KEY=public_pem("RS256"),
        AUTH__CLAIM_TENANT="tenant",
        AUTH__CLAIM_ROLES="roles",
        AUTH__ROLE_SCOPES=json.dumps(ROLE_SCOPES),
        DATA_DIR=str(tmp_path),
    )
    return Caller(gateway, {**_tokens(), **keys})


def test_every_route_has_a_line() -> None:
    assert {f"{method} {path}" for method, path in served_routes()} == set(ROUTES)


def test_the_document_has_the_table() -> None:
    _, _, rest = DOCUMENT.read_text().partition(_BEGIN)
    assert rest.partition(_END)[0].strip() == table().strip(), f"put this between the marks:\n{table()}"


async def test_every_route_answers_every_credential_as_the_contract_says(caller: Caller) -> None:
    answered: dict[tuple[str, str], int] = {}
    ids = await caller.make_thread()
    for route in ROUTES:
        for kind in KINDS:
            answered[route, kind] = await caller.status(route, kind, ids)
            if answered[route, kind] == 204:  # it is deleted
                ids = await caller.make_thread()
    wanted = {(route, kind): expected(route, kind) for route, kind in answered}
    assert {key: status for key, status in answered.items() if status != wanted[key]} == {}


async def test_an_api_key_does_what_its_scopes_allow(caller: Caller) -> None:
    ids = await caller.make_thread()
    headers = caller.headers("valid API key")
    thread = (await caller.gateway.http.get(f"/api/agent/{ids['thread_id']}", headers=headers)).json()
    assert (thread["tenant"], thread["owner"], thread["shares"]) == ("acme", "alice", {"vera": "viewer"})


async def test_an_admin_makes_a_key_that_works_and_revokes_it(caller: Caller) -> None:
    http, admin = caller.gateway.http, caller.headers("admin")
    body = {"scopes": ["read"], "user_uuid": "alice", "name": "for reading", "expires_in": 3600}
    made = (await http.post("/api/keys", json=body, headers=admin)).json()
    assert made["key"].startswith(made["prefix"])
    listed = (await http.get("/api/keys", params={"user": "alice"}, headers=admin)).json()["items"]
    assert [key["id"] for key in listed if key["name"] == "for reading"] == [made["id"]]
    assert made["key"] not in str(listed)
    ids = await caller.make_thread()
    with_key = {"Authorization": f"Bearer {made['key']}"}
    assert (await http.get(f"/api/agent/{ids['thread_id']}", headers=with_key)).status_code == 200
    refused = await http.post(f"/api/agent/{ids['thread_id']}/execute", json={"task": "x"}, headers=with_key)
    assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")
    (revoked,) = (await http.delete(f"/api/keys/{made['id']}", headers=admin)).json()["items"]
    assert revoked["revoked_at"]
    assert (await http.delete(f"/api/keys/{made['id']}", headers=caller.headers("foreign tenant"))).status_code == 404


async def test_a_server_without_keys_says_so(start_gateway: StartGateway, redis_url: str) -> None:
    gateway = await start_gateway(redis_url)
    answer = await gateway.http.get("/api/keys")
    assert (answer.status_code, answer.json()["code"]) == (409, "no_api_keys")


async def test_a_thread_is_shared_with_a_user_whose_id_has_a_slash(caller: Caller) -> None:
    ids = await caller.make_thread()
    path = f"/api/agent/{ids['thread_id']}/shares/auth0%2Fwalter"
    answer = await caller.gateway.http.put(path, json={"role": "editor"}, headers=caller.headers("owner"))
    assert answer.json()["shares"]["auth0/walter"] == "editor"


async def test_a_foreign_id_is_answered_in_the_same_words_as_an_unknown_one(caller: Caller) -> None:
    ids = await caller.make_thread()
    unknown = {**ids, "thread_id": "11111111-2222-3333-4444-555555555555", "run_id": "none such"}
    for route, request in ROUTES.items():
        method, _, path = route.partition(" ")
        if "{thread_id}" not in f"{path} {request.body}" or method == "WS":
            continue
        bodies = []
        for chosen in (ids, unknown):
            body, headers = request.body_with(chosen), caller.headers("foreign tenant")
            answer = await caller.gateway.http.request(method, path.format_map(chosen), json=body, headers=headers)
            bodies.append({**answer.json(), "request_id": ""})
        assert bodies[0] == bodies[1], route


async def test_two_tenants_see_nothing_of_each_other(caller: Caller) -> None:
    ids = await caller.make_thread()
    http = caller.gateway.http
    theirs = caller.headers("foreign tenant")
    mine = (await http.post("/api/agent/initiate", headers=theirs, json={"metadata": {"of": "evil"}})).json()
    listed = (await http.get("/api/agent/threads", headers=theirs)).json()["items"]
    assert [thread["thread_id"] for thread in listed] == [mine["thread_id"]]
    own = (await http.get("/api/agent/threads", headers=caller.headers("owner"))).json()["items"]
    assert [thread["thread_id"] for thread in own] == [ids["thread_id"]]
    shared = (await http.get("/api/agent/threads", headers=caller.headers("viewer"))).json()["items"]
    assert [thread["thread_id"] for thread in shared] == [ids["thread_id"]]
    none = (await http.get("/api/agent/threads", headers=caller.headers("foreign thread"))).json()["items"]
    assert none == []
    # An id of one's own thread with a run of the other's, and an Idempotency-Key that the other has used.
    run = await http.get(f"/api/agent/{mine['thread_id']}/runs/{ids['run_id']}", headers=theirs)
    assert (run.status_code, run.json()["code"]) == (404, "run_not_found")
    for user, expected_status in (("alice", 200), ("bob", 403)):
        body = {"task": "x", "user_uuid": user}
        answer = await http.post(f"/api/agent/{ids['thread_id']}/execute", json=body, headers=caller.headers("owner"))
        assert answer.status_code == expected_status


async def test_a_revoked_key_is_refused_and_its_stream_ends_and_no_other(caller: Caller, tmp_path: Path) -> None:
    ids = await caller.make_thread()
    http, thread = caller.gateway.http, f"/api/agent/{ids['thread_id']}"
    async with (
        http.stream("GET", f"{thread}/stream", headers=caller.headers("valid API key"), timeout=30) as with_key,
        http.stream("GET", f"{thread}/stream", headers=caller.headers("owner"), timeout=30) as with_token,
    ):
        stores = make_sql_stores(Settings(data_dir=tmp_path))
        async with stores.database:
            for key in await stores.api_keys.list("acme"):
                await stores.api_keys.revoke("acme", key.id)
        text = "".join([chunk async for chunk in with_key.aiter_text()])
        assert '"error_type":"unauthenticated"' in text
        while (answer := await http.get(thread, headers=caller.headers("valid API key"))).status_code == 200:
            pass  # it was seen valid seconds ago
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credential")
        assert '"error_type"' not in await anext(with_token.aiter_text()), "that of a token goes on"
