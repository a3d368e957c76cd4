"""Ends the open streams of credentials that have expired or were revoked."""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from shared.clock import SystemClock
from shared.contract.principal import Principal
from shared.errors import DatabaseUnavailableError

# Streams end within ten seconds of a revocation: this interval, and the time that the database has for an answer.
_INTERVAL_SECONDS: Final = 4.0

_log = logging.getLogger(__name__)


class RevocationLookup(Protocol):
    """Knows which credentials were revoked."""

    async def find_invalid(self, principals: Collection[Principal]) -> Collection[Principal]:
        """Return those whose credentials are not valid any more; raises DatabaseUnavailableError."""


class CredentialWatch:
    """Knows the credentials of open streams. While the database is away no stream is ended for a revocation.

    Without a lookup (tokens, which nobody can revoke) streams end when their credentials expire.
    """

    def __init__(
        self, revoked: RevocationLookup | None, clock: SystemClock, *, interval_seconds: float = _INTERVAL_SECONDS
    ) -> None:
        self._revoked = revoked
        self._clock = clock
        self._interval = interval_seconds
        self._streams: dict[Principal, set[Callable[[], None]]] = {}

    @contextmanager
    def watching(self, principal: Principal, end: Callable[[], None]) -> Iterator[None]:
        """Call `end` within the block when the principal's credential is not valid any more."""
        streams = self._streams.setdefault(principal, set())
        streams.add(end)
        try:
            yield
        finally:
            streams.discard(end)
            if not streams and self._streams.get(principal) is streams:
                del self._streams[principal]

    async def run(self) -> None:
        """Check until cancelled."""
        while True:
            await asyncio.sleep(self._interval)
            try:
                await self.check()
            except DatabaseUnavailableError:
                _log.warning("database away; credentials of open streams cannot be checked")

    async def check(self) -> None:
        """Check all credentials once; raises DatabaseUnavailableError."""
        now = self._clock.now().timestamp()
        expired = {who for who in self._streams if who.expires_at is not None and who.expires_at <= now}
        self._end(expired)
        if self._streams and self._revoked is not None:
            self._end(await self._revoked.find_invalid(tuple(self._streams)))

    def _end(self, principals: Collection[Principal]) -> None:
        for principal in principals:
            for end in tuple(self._streams.get(principal, ())):
                end()
