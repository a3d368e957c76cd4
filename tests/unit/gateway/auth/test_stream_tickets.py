"""Stream tickets without a Redis: whom one stands for, how often it is renewed, when its credential is asked for."""

import asyncio
from collections.abc import Collection, Sequence
from contextlib import ExitStack

import pytest

from gateway.service.auth.stream_tickets import StreamTickets, ticket_holder
from shared.contract.principal import ALL_SCOPES, ANONYMOUS, Principal, Scope
from shared.errors import InvalidCredentialError, StoreUnavailableError
from shared.store.tickets import TicketKey
from tests.fakes.fake_clock import FakeClock

_READ, _RUN, _ADMIN, _ACT = Scope.READ, Scope.RUN, Scope.ADMIN, Scope.ACT_FOR_OTHERS


class _Store:
    """Keeps tickets for ever."""

    def __init__(self) -> None:
        self.tickets: dict[TicketKey, Principal] = {}
        self.renewed: list[TicketKey] = []
        self.is_away = False
        self.before_renewal: asyncio.Event | None = None

    async def issue(self, key: TicketKey, principal: Principal, issuer: Principal, *, total_seconds: float) -> float:
        self.tickets[key] = principal
        return min(60, total_seconds)

    async def use(self, key: TicketKey) -> Principal | None:
        return self.tickets.get(key)

    async def renew(self, keys: Sequence[TicketKey]) -> None:
        if self.before_renewal is not None:
            await self.before_renewal.wait()
        if self.is_away:
            raise StoreUnavailableError
        self.renewed += keys


class _Revocations:
    def __init__(self) -> None:
        self.asked: list[Principal] = []
        self.revoked = False

    async def find_invalid(self, principals: Collection[Principal]) -> Collection[Principal]:
        self.asked += principals
        await asyncio.sleep(0)
        return principals if self.revoked else ()


def _principal(*scopes: Scope, user: str = "alice") -> Principal:
    return Principal("acme", user, frozenset(scopes), "key:1", expires_at=5e9)


@pytest.mark.parametrize(
    ("scopes", "user", "kept"),
    [
        ([_READ], None, [_READ]),
        ([_READ, _RUN], None, [_READ, _RUN]),
        ([_READ, _RUN, _ADMIN], None, [_READ, _RUN, _ADMIN]),
        ([_READ, _RUN, _ACT], None, [_READ, _ACT]),
        (ALL_SCOPES, None, [_READ, _RUN, _ADMIN]),
        (ALL_SCOPES, "alice", [_READ, _RUN, _ADMIN]),
        (ALL_SCOPES, "bob", [_READ, _RUN]),
        ([_READ, _ACT], "bob", [_READ]),
        ([_RUN], None, [_RUN]),
        ([], None, []),
    ],
)
def test_a_ticket_has_the_rights_that_the_streams_of_a_thread_need(
    scopes: Collection[Scope], user: str | None, kept: Collection[Scope]
) -> None:
    holder = ticket_holder(_principal(*scopes), user)
    assert holder == _principal(*kept, user=user or "alice")


def test_where_nobody_is_asked_who_they_are_a_ticket_is_nobodys() -> None:
    assert ticket_holder(ANONYMOUS, None) is ANONYMOUS
    assert ticket_holder(ANONYMOUS, "alice") is ANONYMOUS


async def test_only_a_websocket_may_run() -> None:
    tickets, holder = StreamTickets(_Store(), None, FakeClock()), _principal(_READ, _RUN)
    issued = await tickets.issue(holder, holder, "thread")
    assert (await tickets.redeem(issued.text, "thread", may_run=True)).principal == holder
    assert (await tickets.redeem(issued.text, "thread", may_run=False)).principal == _principal(_READ)


async def test_tickets_are_long_random_texts_that_are_kept_as_digests() -> None:
    store = _Store()
    tickets, holder = StreamTickets(store, None, FakeClock()), _principal(_READ)
    texts = {(await tickets.issue(holder, holder, "thread")).text for _ in range(100)}
    assert len(texts) == 100
    assert {len(text) for text in texts} == {43}
    assert {len(key.digest) for key in store.tickets} == {64}
    assert texts.isdisjoint(key.digest for key in store.tickets)


async def test_a_credential_is_asked_for_once_in_seconds_and_once_for_many_requests() -> None:
    revocations, clock, holder = _Revocations(), FakeClock(), _principal(_READ)
    tickets = StreamTickets(_Store(), revocations, clock)
    texts = [(await tickets.issue(holder, holder, "thread")).text for _ in range(5)]
    await asyncio.gather(*(tickets.redeem(text, "thread", may_run=False) for text in texts))
    assert len(revocations.asked) == 1
    revocations.revoked = True
    clock.advance(3.9)
    await tickets.redeem(texts[0], "thread", may_run=False)
    clock.advance(0.2)
    for _ in range(2):
        with pytest.raises(InvalidCredentialError):
            await tickets.redeem(texts[0], "thread", may_run=False)
    assert len(revocations.asked) == 3


async def test_the_tickets_of_open_streams_are_renewed_once_a_minute() -> None:
    store, clock = _Store(), FakeClock()
    tickets = StreamTickets(store, None, clock)
    keys = [TicketKey(str(number), "thread") for number in range(100)]
    one = keys[0]
    with tickets.in_use(one), tickets.in_use(one):
        clock.advance(59)
        await tickets.renew()
        assert store.renewed == []
        clock.advance(1)
        await tickets.renew()
        await tickets.renew()
        assert store.renewed == [one]
    with ExitStack() as stack:
        for key in keys:
            stack.enter_context(tickets.in_use(key))
        clock.advance(60)
        await tickets.renew()
        assert sorted(store.renewed[1:], key=lambda key: int(key.digest)) == keys
    store.renewed.clear()
    clock.advance(60)
    await tickets.renew()
    assert store.renewed == [], "the last streams have ended"


async def test_a_renewal_that_failed_is_tried_again_at_the_next_check() -> None:
    store, clock, key = _Store(), FakeClock(), TicketKey("d", "thread")
    tickets = StreamTickets(store, None, clock)
    with tickets.in_use(key):
        clock.advance(60)
        store.is_away = True
        with pytest.raises(StoreUnavailableError):
            await tickets.renew()
        store.is_away = False
        await tickets.renew()
    assert store.renewed == [key]


async def test_a_stream_that_ends_during_a_renewal_is_not_renewed_again() -> None:
    store, clock, key = _Store(), FakeClock(), TicketKey("d", "thread")
    tickets = StreamTickets(store, None, clock)
    with tickets.in_use(key):
        store.before_renewal = asyncio.Event()
        clock.advance(60)
        renewal = asyncio.create_task(tickets.renew())
        await asyncio.sleep(0)
    store.before_renewal.set()
    await renewal
    clock.advance(60)
    await tickets.renew()
    assert store.renewed == [key]
