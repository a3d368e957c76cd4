"""Stream tickets: a credential for the URL of an EventSource or a WebSocket, for which a page can set no headers.

A URL ends up in logs and histories, so a ticket is for the streams of one thread and lives for minutes. It can be used
more than once, because an EventSource connects again with the same URL by itself.
"""

import asyncio
import hashlib
import logging
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Protocol

from gateway.service.auth.credential_watch import RevocationLookup
from gateway.service.auth.remembered_answers import RememberedAnswers
from shared.clock import SystemClock
from shared.contract.principal import ANONYMOUS, Principal, Scope
from shared.errors import InvalidCredentialError, StoreUnavailableError
from shared.store.tickets import TicketKey, TicketLimits

# A page that asks for a ticket with every connection, on a hundred tabs, stays far below that number.
TICKET_LIMITS: Final = TicketLimits(unused_seconds=60.0, idle_seconds=300.0, total_seconds=3600.0, most=1000)
_BYTES: Final = 32
_TEXT: Final = re.compile(r"[A-Za-z0-9_-]{43}")
# While a stream is open, its ticket is renewed so often that three tries may fail.
_RENEW_SECONDS: Final = 60.0
_CHECK_SECONDS: Final = 5.0
_BATCH: Final = 64

_log = logging.getLogger(__name__)


class Tickets(Protocol):
    """Keeps tickets. Every method raises StoreUnavailableError."""

    async def issue(self, key: TicketKey, principal: Principal, issuer: Principal, *, total_seconds: float) -> float:
        """Store a ticket; return the seconds until it has to be used."""

    async def use(self, key: TicketKey) -> Principal | None:
        """Return whose ticket this is; None for one that is not valid for the thread."""

    async def renew(self, keys: Sequence[TicketKey]) -> None:
        """Count tickets as used now."""


@dataclass(frozen=True, slots=True)
class IssuedTicket:
    """A new ticket, and until when it has to be used first."""

    text: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class RedeemedTicket:
    """A ticket that was presented, and who presents it."""

    key: TicketKey
    principal: Principal


@dataclass(slots=True)
class _OpenTicket:
    """A ticket that streams are open with."""

    renewed_at: float
    streams: int = 0


class StreamTickets:
    """Issues tickets, redeems them, and renews those of the open streams."""

    def __init__(self, store: Tickets, revocations: RevocationLookup | None, clock: SystemClock) -> None:
        self._store = store
        self._revocations = revocations
        self._clock = clock
        self._valid = RememberedAnswers[None](clock)
        self._open: dict[TicketKey, _OpenTicket] = {}

    async def issue(self, holder: Principal, issuer: Principal, thread_id: str) -> IssuedTicket:
        """Return a ticket with which `holder` may open the streams of a thread that it may read.

        Raises StoreUnavailableError. Where nobody is asked who they are, nobody looks at the ticket either.
        """
        text, now = secrets.token_urlsafe(_BYTES), self._clock.now()
        seconds = TICKET_LIMITS.unused_seconds
        if issuer is not ANONYMOUS:
            left = TICKET_LIMITS.total_seconds if holder.expires_at is None else holder.expires_at - now.timestamp()
            key = TicketKey(_digest(text), thread_id)
            seconds = await self._store.issue(key, holder, issuer, total_seconds=left)
        return IssuedTicket(text, now + timedelta(seconds=seconds))

    async def redeem(self, text: str, thread_id: str, *, may_run: bool) -> RedeemedTicket:
        """Return whose ticket this is; unless `may_run`, it is good for reading only.

        Raises InvalidCredentialError, and StoreUnavailableError or DatabaseUnavailableError when that cannot be told.
        """
        key = TicketKey(_digest(text), thread_id)
        holder = await self._store.use(key) if _TEXT.fullmatch(text) else None
        if holder is None:
            raise InvalidCredentialError(
                "The ticket has expired, or is for another thread. Get one with POST /api/stream-tickets."
            )
        if holder.expires_at is not None and holder.expires_at <= self._clock.now().timestamp():
            raise InvalidCredentialError("The credential that this ticket was issued for has expired. Get a new one.")
        await self._valid.get((holder.tenant, holder.credential), partial(self._require_valid, holder))
        return RedeemedTicket(key, holder if may_run else replace(holder, scopes=holder.scopes - {Scope.RUN}))

    @contextmanager
    def in_use(self, key: TicketKey) -> Iterator[None]:
        """Count a ticket as used for as long as the block runs, which is that of a stream."""
        ticket = self._open.setdefault(key, _OpenTicket(self._clock.monotonic()))
        ticket.streams += 1
        try:
            yield
        finally:
            ticket.streams -= 1
            if not ticket.streams:
                del self._open[key]

    async def run(self) -> None:
        """Renew the tickets of open streams until cancelled."""
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            try:
                await self.renew()
            except StoreUnavailableError:
                _log.warning("Redis away; the tickets of open streams cannot be renewed")

    async def renew(self) -> None:
        """Renew the tickets of open streams that are due; raises StoreUnavailableError."""
        now = self._clock.monotonic()
        due = [key for key, ticket in self._open.items() if now - ticket.renewed_at >= _RENEW_SECONDS]
        for start in range(0, len(due), _BATCH):
            batch = due[start : start + _BATCH]
            await self._store.renew(batch)
            for key in batch:
                if ticket := self._open.get(key):
                    ticket.renewed_at = now

    async def _require_valid(self, holder: Principal) -> None:
        if self._revocations is not None and await self._revocations.find_invalid([holder]):
            raise InvalidCredentialError("The credential that this ticket was issued for is not valid any more.")


def ticket_holder(principal: Principal, user: str | None) -> Principal:
    """Return who a ticket stands for: the principal, or the user that it acts for, with the rights that streams need.

    Whoever sees all threads of the tenant keeps that right, without which the ticket could not open those of others; it
    is for one thread all the same. Who may name other users may not run by a ticket, with which a page could execute
    tasks in the name of anybody: a ticket that may run is issued for the page's user.
    """
    if principal is ANONYMOUS:
        return principal
    kept = {Scope.READ, Scope.RUN}
    if user is not None and user != principal.user:
        return replace(principal, user=user, scopes=principal.scopes & kept)
    if principal.may(Scope.ADMIN):
        kept |= {Scope.ADMIN}
    elif principal.may(Scope.ACT_FOR_OTHERS):
        kept = {Scope.READ, Scope.ACT_FOR_OTHERS}
    return replace(principal, scopes=principal.scopes & kept)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()
