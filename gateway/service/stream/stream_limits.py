"""Decides whether a stream may be opened now, by the number of streams in all and per client, and by the shutdown."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import Scope

from shared.config import GatewayConfig
from shared.errors import ShuttingDownError, TooManyStreamsError


def client_of(scope: Scope) -> str:
    """Return the client's address; behind a trusted proxy that of the proxy's client."""
    client = scope.get("client")
    return client[0] if client else ""


class StreamLimits:
    """Counts the open streams of this gateway, over SSE and WebSocket."""

    def __init__(self, config: GatewayConfig) -> None:
        self._limit = config.max_streams
        self._client_limit = config.max_streams_per_client
        self._by_client: Counter[str] = Counter()
        self._empty = asyncio.Event()
        self._empty.set()
        self.count = 0
        self.is_stopping = False

    @contextmanager
    def admit(self, client: str) -> Iterator[None]:
        """Hold a place for a stream of this client address; raises what `enter` does."""
        self.enter(client)
        try:
            yield
        finally:
            self.leave(client)

    def enter(self, client: str) -> None:
        """Take a place, which `leave` releases; raises ShuttingDownError, TooManyStreamsError."""
        self._check(client)
        self._by_client[client] += 1
        self.count += 1
        self._empty.clear()

    def leave(self, client: str) -> None:
        """Release a place."""
        self.count -= 1
        self._by_client[client] -= 1
        if not self._by_client[client]:
            del self._by_client[client]
        if not self.count:
            self._empty.set()

    def stop(self) -> None:
        """Admit no more streams; those that are open stay."""
        self.is_stopping = True

    def require_service(self) -> None:
        """Raise ShuttingDownError once this gateway is stopping."""
        if self.is_stopping:
            raise ShuttingDownError

    async def wait_until_empty(self, limit_seconds: float) -> bool:
        """Return whether every stream has ended within the time given."""
        try:
            async with asyncio.timeout(limit_seconds):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True

    def _check(self, client: str) -> None:
        self.require_service()
        if self._limit and self.count >= self._limit:
            raise TooManyStreamsError(
                f"This gateway carries {self.count} streams, the limit of gateway.max_streams. Try again later."
            )
        if self._client_limit and self._by_client[client] >= self._client_limit:
            raise TooManyStreamsError(
                f"Your address has {self._by_client[client]} streams open, the limit of "
                "gateway.max_streams_per_client. Close one, or try again later."
            )
