"""Calls share round trips without delay; an error goes to its own caller, a lost round trip to all."""

import asyncio
from collections.abc import Sequence

import pytest

from shared.store.redis.round_trips import SharedRoundTrips


class FakeExchange:
    """Answers each call with its name in capitals when released; `!name` is answered with an error."""

    def __init__(self) -> None:
        self.sent: list[list[str]] = []
        self.is_lost = False
        self._gate = asyncio.Event()

    async def __call__(self, calls: Sequence[str]) -> Sequence[object]:
        self.sent.append(list(calls))
        await self._gate.wait()
        if self.is_lost:
            raise ConnectionError("lost")
        return [ValueError(call) if call.startswith("!") else call.upper() for call in calls]

    def let(self) -> None:
        self._gate.set()


async def _start(trips: SharedRoundTrips[str], *requests: Sequence[str]) -> list[asyncio.Task[list[object]]]:
    """Ask for each, one after the other; the first of them is under way when the others wait."""
    tasks = []
    for calls in requests:
        tasks.append(asyncio.create_task(trips.send(calls)))
        for _ in range(3):  # the call, its sender, the exchange
            await asyncio.sleep(0)
    return tasks


async def test_calls_during_a_round_trip_are_sent_together() -> None:
    exchange = FakeExchange()
    tasks = await _start(SharedRoundTrips(exchange), ["a"], ["b", "c"], ["d"])
    assert exchange.sent == [["a"]]
    exchange.let()
    assert await asyncio.gather(*tasks) == [["A"], ["B", "C"], ["D"]]
    assert exchange.sent == [["a"], ["b", "c", "d"]]


async def test_an_error_goes_to_its_own_caller() -> None:
    exchange = FakeExchange()
    tasks = await _start(SharedRoundTrips(exchange), ["a"], ["b", "!c"], ["d"])
    exchange.let()
    first, failed, last = await asyncio.gather(*tasks, return_exceptions=True)
    assert (first, str(failed), last) == (["A"], "!c", ["D"])


async def test_calls_that_waited_for_a_lost_round_trip_fail_with_it() -> None:
    exchange = FakeExchange()
    trips = SharedRoundTrips(exchange)
    tasks = await _start(trips, ["a"], ["b"])
    exchange.is_lost = True
    exchange.let()
    assert [str(error) for error in await asyncio.gather(*tasks, return_exceptions=True)] == ["lost", "lost"]
    assert exchange.sent == [["a"]]
    exchange.is_lost = False
    assert await trips.send(["c"]) == ["C"]


async def test_a_call_cancelled_before_its_round_trip_is_not_sent() -> None:
    exchange = FakeExchange()
    tasks = await _start(SharedRoundTrips(exchange), ["a"], ["b"], ["c"])
    tasks[0].cancel()
    tasks[1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[1]
    exchange.let()
    assert await tasks[2] == ["C"]
    assert exchange.sent == [["a"], ["c"]]
