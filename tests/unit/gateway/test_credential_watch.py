"""Open streams end when their credentials do, and no other does."""

from collections.abc import Collection
from datetime import UTC, datetime

import pytest

from gateway.service.auth.credential_watch import CredentialWatch
from shared.clock import SystemClock
from shared.contract.principal import ALL_SCOPES, Principal
from shared.errors import DatabaseUnavailableError


class _Clock(SystemClock):
    seconds = 1000.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)


class _Revocations:
    def __init__(self) -> None:
        self.revoked: set[str] = set()
        self.asked: list[set[str]] = []
        self.is_away = False

    async def find_invalid(self, principals: Collection[Principal]) -> Collection[Principal]:
        self.asked.append({who.credential for who in principals})
        if self.is_away:
            raise DatabaseUnavailableError
        return {who for who in principals if who.credential in self.revoked}


def _principal(number: int, expires_at: float | None = None) -> Principal:
    return Principal("acme", "alice", ALL_SCOPES, f"key:{number}", expires_at)


async def test_the_streams_of_a_revoked_credential_end_and_those_of_another_of_the_same_user_stay() -> None:
    revocations, ended = _Revocations(), list[str]()
    watch = CredentialWatch(revocations, _Clock())
    with (
        watch.watching(_principal(1), lambda: ended.append("first")),
        watch.watching(_principal(1), lambda: ended.append("second")),
        watch.watching(_principal(2), lambda: ended.append("other")),
    ):
        await watch.check()
        assert ended == []
        revocations.revoked = {"key:1"}
        await watch.check()
        assert sorted(ended) == ["first", "second"]
    assert revocations.asked == [{"key:1", "key:2"}] * 2, "one question for all streams"


async def test_streams_end_when_their_credential_expires_also_while_the_database_is_away() -> None:
    revocations, clock, ended = _Revocations(), _Clock(), list[str]()
    watch = CredentialWatch(revocations, clock)
    revocations.is_away = True
    with (
        watch.watching(_principal(1, expires_at=1010), lambda: ended.append("short")),
        watch.watching(_principal(2), lambda: ended.append("long")),
    ):
        clock.seconds = 1010
        with pytest.raises(DatabaseUnavailableError):
            await watch.check()
    assert ended == ["short"]


async def test_streams_that_are_over_are_forgotten() -> None:
    revocations, ended = _Revocations(), list[str]()
    watch = CredentialWatch(revocations, _Clock())
    with watch.watching(_principal(1), lambda: ended.append("over")):
        pass
    revocations.revoked = {"key:1"}
    await watch.check()
    assert (ended, revocations.asked) == ([], [])
