"""Sends the requests of the asynchronous client: credential, retries, other gateways, reconnects of streams."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import TypeVar

import httpx

from baud.sdk import calls
from baud.sdk.backoff import StreamPolicy
from baud.sdk.calls import Call
from baud.sdk.credential import AsyncCredential
from baud.sdk.errors import ApiError, UnreachableError
from baud.sdk.event import Event
from baud.sdk.gateway_address import Gateways
from baud.sdk.responses import LONGEST_REFUSAL_BYTES, UNAUTHORIZED, is_temporary
from baud.sdk.stream_request import StreamQuery
from baud.sdk.stream_session import StreamCounts, StreamSession
from shared.contract.api import Page

T = TypeVar("T")

# A stream holds its connection for hours: a limit would let the streams starve each other, and all requests.
_UNLIMITED = httpx.Limits(max_connections=None, max_keepalive_connections=20)


class AsyncSender:
    """The connections of one client to its gateways."""

    def __init__(
        self,
        gateways: Gateways,
        credential: AsyncCredential,
        policy: StreamPolicy,
        *,
        timeout_seconds: float,
        transport: httpx.AsyncBaseTransport | None,
    ) -> None:
        self._gateways = gateways
        self._credential = credential
        self._policy = policy
        self._stream_timeout = httpx.Timeout(timeout_seconds, read=policy.silence_seconds)
        self._http = httpx.AsyncClient(
            headers={"User-Agent": "baud-client"},
            timeout=timeout_seconds,
            limits=_UNLIMITED,
            transport=transport,
            follow_redirects=False,  # nobody but the gateway is to get the credential
        )
        self.stream_counts = StreamCounts()
        if credential.is_given:
            gateways.warn_of_clear_text()

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def follow(self, request: StreamQuery) -> AsyncGenerator[Event, None]:
        """Yield the events of a stream, over any number of connections."""
        session = StreamSession(
            self._policy,
            request,
            gateway_count=len(self._gateways),
            counts=self.stream_counts,
            can_refresh=self._credential.can_refresh,
        )
        while session.is_open:
            gateway = self._gateways.current
            auth = await self._credential.auth()
            try:
                async with self._http.stream(
                    "GET",
                    gateway + request.path,
                    params=request.params,
                    headers=session.headers(),
                    auth=auth,
                    timeout=self._stream_timeout,
                ) as response:
                    if session.begin(response.status_code, response.headers, await _refusal(response)):
                        async for chunk in response.aiter_bytes():
                            for event in session.feed(chunk):
                                yield event
                            if not session.wants_more:
                                break
                        session.closed()
            except httpx.RequestError as error:
                session.lost(error)
            if session.wants_other_gateway:
                self._gateways.leave(gateway)
            await self._prepare_next(session, request.thread_id)

    async def _prepare_next(self, session: StreamSession, thread_id: str) -> None:
        if session.asks_activity:
            try:
                record = await self.send(calls.thread(thread_id))
            except (ApiError, UnreachableError) as error:
                if isinstance(error, ApiError) and not is_temporary(error.status):
                    raise
                session.lost(error)
            else:
                session.note_activity(is_active=record.active_run_id is not None)
        if session.is_open:
            await asyncio.sleep(session.pause_seconds)

    async def pages(self, page_call: Callable[[str | None], Call[Page[T]]]) -> AsyncIterator[T]:
        """Yield the items of a list; further pages are fetched as they are needed."""
        cursor: str | None = None
        while True:
            page = await self.send(page_call(cursor))
            for item in page.items:
                yield item
            if (cursor := page.next_cursor) is None:
                return

    async def send(self, call: Call[T]) -> T:
        """Return the answer to a request; one whose credential is refused is sent again once if another can be had."""
        tries = 0
        may_refresh = self._credential.can_refresh
        while True:
            tries += 1
            gateway = self._gateways.current
            auth = await self._credential.auth()
            try:
                response = await self._http.send(call.request(self._http, gateway), auth=auth)
            except httpx.TransportError as error:
                pause = call.pause_after(error, tries)
                if pause is None:
                    raise UnreachableError.at(gateway, error) from error
            else:
                if response.status_code == UNAUTHORIZED and may_refresh:
                    may_refresh = False
                    continue
                pause = call.pause_after(response, tries)
                if pause is None:
                    return call.read(response)
            self._gateways.leave(gateway)
            await asyncio.sleep(pause)


async def _refusal(response: httpx.Response) -> bytes:
    """Return the body of a response that is not a stream, up to a size limit."""
    if response.status_code == 200:
        return b""
    return await anext(response.aiter_bytes(LONGEST_REFUSAL_BYTES), b"")
