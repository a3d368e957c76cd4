"""An OpenID Connect issuer of the tests' own: the program oidc-provider-mock, asked for tokens as a browser asks."""

import asyncio
import json
import signal
import sys
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import httpx

from tests.integration.redis_process import free_port

LIMIT_SECONDS = 20.0
_REDIRECT = "http://127.0.0.1:1/callback"


class OidcIssuer:
    """An issuer on a loopback port, whose users have these claims; a new start makes a new key."""

    def __init__(self, *users: dict[str, Any]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._users = [word for user in users for word in ("--user-claims", json.dumps(user))]
        self._process: asyncio.subprocess.Process | None = None
        self._http = httpx.AsyncClient(base_url=self.url, timeout=LIMIT_SECONDS, trust_env=False)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        await self._http.aclose()

    async def start(self) -> None:
        # A process of its own, since its imports warn of what is deprecated in them.
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(self.port), *self._users,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        async with asyncio.timeout(LIMIT_SECONDS):
            while not await self._answers():
                assert self._process.returncode is None, "the issuer ended at its start"
                await asyncio.sleep(0.05)

    async def _answers(self) -> bool:
        try:
            return (await self._http.get("/jwks")).is_success
        except httpx.TransportError:
            return False

    def pause(self) -> None:
        """Let it take connections and answer none."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    async def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            await self._process.wait()
            self._process = None

    async def sign_in(self, user: str, client_id: str) -> dict[str, Any]:
        """Return what a client gets for a user: id_token, access_token and so on."""
        asked = {"client_id": client_id, "redirect_uri": _REDIRECT, "response_type": "code", "scope": "openid email"}
        consent = await self._http.post("/oauth2/authorize", params=asked, data={"sub": user})
        (code,) = parse_qs(urlsplit(consent.headers["Location"]).query)["code"]
        redeemed = {"grant_type": "authorization_code", "code": code, "redirect_uri": _REDIRECT}
        answer = await self._http.post("/oauth2/token", data=redeemed, auth=(client_id, "any-secret"))
        answer.raise_for_status()
        tokens: dict[str, Any] = answer.json()
        return tokens
