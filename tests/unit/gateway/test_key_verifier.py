"""API keys: the database is asked once every few seconds, and a valid key outlives its absence for a minute."""

import asyncio
from datetime import UTC, datetime

import pytest

from gateway.service.auth.key_verifier import ApiKeyVerifier
from shared.clock import SystemClock
from shared.contract.principal import ALL_SCOPES, Principal
from shared.errors import BaudError, DatabaseUnavailableError, InvalidCredentialError

_ALICE = Principal("acme", "alice", ALL_SCOPES, "key:1")


class _Clock(SystemClock):
    seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)


class _Database:
    def __init__(self) -> None:
        self.keys = {"valid": _ALICE}
        self.failure: BaudError | None = None
        self.asked = 0
        self.was_asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def principal_of(self, text: str) -> Principal:
        self.asked += 1
        self.was_asked.set()
        await self.may_answer.wait()
        if self.failure:
            raise self.failure
        if text not in self.keys:
            raise InvalidCredentialError
        return self.keys[text]


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


@pytest.fixture
async def database() -> _Database:
    return _Database()


async def test_a_key_is_looked_up_once_and_again_when_its_answer_is_old(clock: _Clock, database: _Database) -> None:
    verifier = ApiKeyVerifier(database, clock)
    for _ in range(3):
        assert await verifier.verify("valid") is _ALICE
    assert database.asked == 1
    clock.seconds += 4
    await verifier.verify("valid")
    assert database.asked == 2


async def test_a_revoked_key_is_refused_as_soon_as_its_answer_is_old(clock: _Clock, database: _Database) -> None:
    verifier = ApiKeyVerifier(database, clock)
    await verifier.verify("valid")
    del database.keys["valid"]
    clock.seconds += 3.9
    await verifier.verify("valid")
    clock.seconds += 0.1
    for _ in range(2):
        with pytest.raises(InvalidCredentialError):
            await verifier.verify("valid")


async def test_a_revoked_key_does_not_come_back_when_the_database_goes_away(clock: _Clock, database: _Database) -> None:
    verifier = ApiKeyVerifier(database, clock)
    await verifier.verify("valid")
    del database.keys["valid"]
    clock.seconds += 4
    with pytest.raises(InvalidCredentialError):
        await verifier.verify("valid")
    database.failure = DatabaseUnavailableError()
    with pytest.raises(DatabaseUnavailableError):
        await verifier.verify("valid")


async def test_a_valid_key_outlives_the_database_for_a_minute_and_an_unknown_one_does_not(
    clock: _Clock, database: _Database
) -> None:
    verifier = ApiKeyVerifier(database, clock)
    await verifier.verify("valid")
    database.failure = DatabaseUnavailableError()
    clock.seconds += 59
    assert await verifier.verify("valid") is _ALICE
    with pytest.raises(DatabaseUnavailableError):
        await verifier.verify("unknown")
    clock.seconds += 1
    with pytest.raises(DatabaseUnavailableError):
        await verifier.verify("valid")


async def test_a_key_expires_while_its_answer_is_remembered(clock: _Clock, database: _Database) -> None:
    database.keys["short"] = Principal("acme", "alice", ALL_SCOPES, "key:2", expires_at=1002.0)
    verifier = ApiKeyVerifier(database, clock)
    await verifier.verify("short")
    clock.seconds += 2
    with pytest.raises(InvalidCredentialError, match="expired"):
        await verifier.verify("short")


async def test_requests_with_one_key_share_a_lookup_which_outlives_the_first(
    clock: _Clock, database: _Database
) -> None:
    verifier = ApiKeyVerifier(database, clock)
    database.may_answer.clear()
    requests = [asyncio.create_task(verifier.verify("valid")) for _ in range(5)]
    await database.was_asked.wait()
    requests[0].cancel()
    database.may_answer.set()
    results = await asyncio.gather(*requests, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1:] == [_ALICE] * 4
    assert database.asked == 1


async def test_what_is_remembered_is_bounded_and_the_least_recently_used_goes(
    clock: _Clock, database: _Database
) -> None:
    database.keys = {str(number): _ALICE for number in range(4)}
    verifier = ApiKeyVerifier(database, clock, max_keys=3)
    for text in ("0", "1", "2", "0", "3"):
        await verifier.verify(text)
    assert database.asked == 4
    await verifier.verify("0")
    assert database.asked == 4
    await verifier.verify("1")
    assert database.asked == 5


async def test_half_a_character_is_a_wrong_key_and_no_fault(clock: _Clock, database: _Database) -> None:
    with pytest.raises(InvalidCredentialError):
        await ApiKeyVerifier(database, clock).verify("\ud800")
