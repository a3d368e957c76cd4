"""A gateway in the test's own loop whose keys, revocations and clock are the test's; its Redis and sockets are real."""

import asyncio
import socket
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import httpx
import uvicorn
from websockets.asyncio.client import ClientConnection, connect

from gateway.controller.dependencies import Services
from gateway.core.main import create_app
from gateway.core.serve import server_config
from gateway.service.auth.credential_watch import CredentialWatch
from gateway.service.auth.stream_tickets import TICKET_LIMITS, StreamTickets
from shared.contract.principal import Principal
from shared.errors import DatabaseUnavailableError, InvalidCredentialError
from shared.settings.load import load_settings
from shared.store.tickets import TicketStore
from tests.fakes.fake_clock import FakeClock

_LIMIT_SECONDS: Final = 30.0


@dataclass
class Keys:
    """Who has which key, and which of them were revoked; both gateways of a test may share it."""

    principals: dict[str, Principal] = field(default_factory=dict)
    revoked: set[str] = field(default_factory=set)
    is_away: bool = False

    async def verify(self, credential: str) -> Principal:
        if credential not in self.principals or self.principals[credential].credential in self.revoked:
            raise InvalidCredentialError
        return self.principals[credential]

    async def find_invalid(self, principals: Collection[Principal]) -> Collection[Principal]:
        if self.is_away:
            raise DatabaseUnavailableError
        return [principal for principal in principals if principal.credential in self.revoked]


@dataclass(frozen=True)
class GatewayWithKeys:
    """A served gateway that asks for keys."""

    url: str
    http: httpx.AsyncClient
    clock: FakeClock
    services: Services
    watch: CredentialWatch

    async def post(self, path: str, key: str, **body: object) -> httpx.Response:
        return await self.http.post(path, json=body, headers={"Authorization": f"Bearer {key}"})

    async def new_thread(self, key: str) -> str:
        thread_id: str = (await self.post("/api/agent/initiate", key)).json()["thread_id"]
        return thread_id

    async def execute(self, key: str, thread_id: str) -> str:
        run_id: str = (await self.post(f"/api/agent/{thread_id}/execute", key, task="a task")).json()["run_id"]
        return run_id

    async def ticket(self, key: str, thread_id: str, **body: object) -> str:
        answer = await self.post("/api/stream-tickets", key, thread_id=thread_id, **body)
        assert answer.status_code == 200, answer.text
        ticket: str = answer.json()["ticket"]
        return ticket

    async def status(self, path: str, **query: str) -> tuple[int, str]:
        """Return the status of a GET that presents nothing but its query, and the code of an error."""
        async with self.http.stream("GET", path, params=query or None) as answer:
            if answer.status_code < 400:
                return answer.status_code, ""
            await answer.aread()
            assert len(ticket := query.get("ticket", "")) < 43 or ticket not in answer.text
            return answer.status_code, answer.json()["code"]

    @asynccontextmanager
    async def socket(self, thread_id: str, ticket: str) -> AsyncIterator[ClientConnection]:
        url = f"ws{self.url.removeprefix('http')}/ws/agent/{thread_id}?ticket={ticket}"
        async with connect(url, proxy=None) as connection:
            yield connection


@asynccontextmanager
async def serve_with_keys(redis_url: str, folder: Path, keys: Keys | None) -> AsyncIterator[GatewayWithKeys]:
    """Yield a gateway that asks for these keys; None: that asks nobody who they are."""
    settings = load_settings({"REDIS_URL": redis_url}, folder)
    app = create_app(settings)
    with socket.create_server(("127.0.0.1", 0), backlog=200) as listener:
        server = uvicorn.Server(server_config(app, settings.gateway))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with asyncio.timeout(_LIMIT_SECONDS):
            while not server.started:  # noqa: ASYNC110 # uvicorn has no event for it
                await asyncio.sleep(0.01)
            clock, watch = FakeClock(), CredentialWatch(keys, FakeClock())
            services: Services = app.state.services
            if keys is not None:
                watch = CredentialWatch(keys, clock)
                tickets = StreamTickets(TicketStore(services.connection, TICKET_LIMITS), keys, clock)
                services = app.state.services = replace(services, verifier=keys, watch=watch, tickets=tickets)
            async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=_LIMIT_SECONDS) as http:
                yield GatewayWithKeys(url, http, clock, services, watch)
            services.hub.shut_down()
            server.should_exit = True
            await serving


async def pass_time(redis: Any, seconds: float) -> None:
    """Let this time pass for all tickets that are in Redis."""
    for key in await redis.keys("ticket:*"):
        await redis.hincrby(key, "ends_at", -int(seconds * 1000))
        await redis.pexpire(key, max(0, await redis.pttl(key) - int(seconds * 1000)))
