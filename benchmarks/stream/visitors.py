"""A measuring process of clients that come and go, stall and are cut: `python -m benchmarks.stream.visitors`.

Each visit resumes from the last position of an earlier one, or starts at the beginning, so every due event is known.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import uvloop

from benchmarks.stream.question_loop import answer_questions
from benchmarks.stream.reader import StreamConnection, Subscriber, Tally

_MEAN_CONNECTION_SECONDS: Final = 8.0
_MOST_CONNECTIONS: Final = 6  # of one visit
_FROM_THE_BEGINNING: Final = 0.05  # share of the visits
_STALLS: Final = 0.4  # share of the connections
_MOST_STALL_SECONDS: Final = 5.0
_RETRY_SECONDS: Final = 0.2
_POLL_SECONDS: Final = 0.1


class Visitors:
    """All the clients; `counts` has their actions, the tally the events received."""

    def __init__(self) -> None:
        self._tally = Tally()
        self._counts: Counter[str] = Counter()
        self._positions: dict[str, tuple[str, int]] = {}  # of each thread: the furthest id seen, and the next number
        self._due: Mapping[str, int] | None = None
        self._ending = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._urls: Sequence[str] = ()

    async def begin(self, *, urls: Sequence[str], thread_ids: Sequence[str], clients: int, seed: int) -> dict[str, Any]:
        """Start the clients."""
        self._urls = urls
        self._positions = dict.fromkeys(thread_ids, ("", 0))
        rngs = [random.Random(f"{seed}:{client}") for client in range(clients)]
        self._tasks = [asyncio.create_task(self._roam(rng)) for rng in rngs]
        return {}

    async def take(self) -> dict[str, Any]:
        """Return the counts since the last `take`; raises the error of a client that failed."""
        for task in self._tasks:
            if task.done():
                task.result()
        tally = self._tally
        seen = {"events": tally.events, "missed": tally.missed, "doubled": tally.doubled, "errors": tally.errors}
        answer = {**seen, **self._counts}
        tally.latencies_ns.clear()
        self._counts.clear()
        tally.events = tally.missed = tally.doubled = tally.errors = 0
        return answer

    async def end(self, *, due: Mapping[str, int], seconds: float) -> dict[str, Any]:
        """After the last write: wait until each client has every event; return how many have not."""
        self._due = due
        self._ending.set()
        _, waiting = await asyncio.wait(self._tasks, timeout=seconds)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return {"unfinished": len(waiting)}

    async def _roam(self, rng: random.Random) -> None:
        await self._pause(rng.uniform(0, _MEAN_CONNECTION_SECONDS))
        while True:
            thread_id = rng.choice(tuple(self._positions))
            subscriber = Subscriber(thread_id, self._tally)
            is_new = rng.random() < _FROM_THE_BEGINNING
            subscriber.last_id, subscriber.expected = ("", 0) if is_new else self._positions[thread_id]
            self._counts["visits"] += 1
            for _ in range(rng.randint(1, _MOST_CONNECTIONS)):
                await self._connect(subscriber, rng)
                if self._ending.is_set():
                    break
            if self._ending.is_set():
                await self._read_to_the_end(subscriber, rng)
                return

    async def _read_to_the_end(self, subscriber: Subscriber, rng: random.Random) -> None:
        assert self._due is not None
        while (subscriber.expected or 0) < self._due.get(subscriber.thread_id, 0):
            await self._connect(subscriber, rng)

    async def _connect(self, subscriber: Subscriber, rng: random.Random) -> None:
        """Keep one connection open for a while; it may stall, and is cut at the end."""
        parts = urlsplit(rng.choice(self._urls))
        assert parts.hostname is not None
        assert parts.port is not None
        connection = StreamConnection(subscriber, parts.netloc)
        try:
            await asyncio.get_running_loop().create_connection(lambda: connection, parts.hostname, parts.port)
            await connection.opened
        except (OSError, RuntimeError):
            self._counts["refused"] += 1
            await asyncio.sleep(_RETRY_SECONDS)
            return
        self._counts["connections"] += 1
        await self._hold(connection, subscriber, rng)
        assert connection.transport is not None
        connection.transport.abort()
        await connection.closed
        self._note_position(subscriber)

    async def _hold(self, connection: StreamConnection, subscriber: Subscriber, rng: random.Random) -> None:
        transport = connection.transport
        assert transport is not None
        if rng.random() < _STALLS:
            self._counts["stalls"] += 1
            transport.pause_reading()
            await self._pause(rng.uniform(0, _MOST_STALL_SECONDS))
            transport.resume_reading()
        until = asyncio.get_running_loop().time() + rng.expovariate(1 / _MEAN_CONNECTION_SECONDS)
        while asyncio.get_running_loop().time() < until and not connection.closed.done():
            if self._due is not None and (subscriber.expected or 0) >= self._due.get(subscriber.thread_id, 0):
                return
            await asyncio.sleep(_POLL_SECONDS)
        self._counts["closed by the gateway" if connection.closed.done() else "cuts"] += 1

    def _note_position(self, subscriber: Subscriber) -> None:
        if (subscriber.expected or 0) > self._positions[subscriber.thread_id][1]:
            self._positions[subscriber.thread_id] = (subscriber.last_id, subscriber.expected or 0)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._ending.wait()
        except TimeoutError:
            return


async def main() -> None:
    """Answer the requests on standard input until it ends."""
    visitors = Visitors()
    await answer_questions({"begin": visitors.begin, "take": visitors.take, "end": visitors.end})


if __name__ == "__main__":
    uvloop.run(main())
