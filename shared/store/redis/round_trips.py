"""Round trips that callers share: calls that are made during one are sent together in the next.

This is group commit, as in databases: no call is delayed to fill a batch, and under load a hundred writes cost one
round trip to Redis and one flush of its append-only file.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Generic, TypeVar

# Calls of one round trip at most, so that other clients of Redis do not wait long.
_MOST_REQUESTS: Final = 64

Call = TypeVar("Call")


class SharedRoundTrips(Generic[Call]):
    """Sends calls in the order in which they were asked for; `exchange` returns their results, errors among them."""

    def __init__(self, exchange: Callable[[Sequence[Call]], Awaitable[Sequence[Any]]]) -> None:
        self._exchange = exchange
        self._waiting: list[tuple[Sequence[Call], asyncio.Future[list[Any]]]] = []
        self._sender: asyncio.Task[None] | None = None

    async def send(self, calls: Sequence[Call]) -> list[Any]:
        """Return the results of calls that go together; raises the first error among them, or the exchange's."""
        answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._waiting.append((calls, answer))
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send_all(), name="round trips")
        return await answer

    async def _send_all(self) -> None:
        while self._waiting:
            taken, self._waiting = self._waiting[:_MOST_REQUESTS], self._waiting[_MOST_REQUESTS:]
            wanted = [(calls, answer) for calls, answer in taken if not answer.done()]  # done: its caller has left
            try:
                results = iter(await self._exchange([call for calls, _ in wanted for call in calls]))
            except Exception as error:  # noqa: BLE001 # passed on to the callers
                self._fail([*wanted, *self._waiting], error)
                self._waiting.clear()
                continue
            for calls, answer in wanted:
                _settle(answer, [next(results) for _ in calls])

    @staticmethod
    def _fail(requests: Sequence[tuple[Sequence[Call], asyncio.Future[list[Any]]]], error: Exception) -> None:
        """Fail the callers of the lost round trip, and those that waited for it: they must not wait twice as long."""
        for _, answer in requests:
            if not answer.done():
                answer.set_exception(error)


def _settle(answer: asyncio.Future[list[Any]], results: list[Any]) -> None:
    if answer.done():
        return
    errors = [result for result in results if isinstance(result, Exception)]
    if errors:
        answer.set_exception(errors[0])
    else:
        answer.set_result(results)
