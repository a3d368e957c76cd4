"""A measuring process of many subscribers: `python -m benchmarks.stream.readers`."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import uvloop

from benchmarks.report import percentile
from benchmarks.stream.question_loop import answer_questions
from benchmarks.stream.reader import StreamConnection, Subscriber, Tally

_OPENING_AT_ONCE: Final = 32


class Readers:
    """Groups of subscribers, each with its own tally: the measured ones, and background load."""

    def __init__(self) -> None:
        self._tallies: dict[str, Tally] = {}
        self._connections: dict[str, list[StreamConnection]] = {}

    async def open(self, *, group: str, url: str, thread_ids: Sequence[str]) -> dict[str, Any]:
        """Open one stream for each id (an id may occur many times); return when every response has begun."""
        tally = self._tallies.setdefault(group, Tally())
        opened = self._connections.setdefault(group, [])
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        host, port = parts.hostname, parts.port
        gate = asyncio.Semaphore(_OPENING_AT_ONCE)

        async def one(thread_id: str) -> None:
            async with gate:
                loop = asyncio.get_running_loop()
                _, connection = await loop.create_connection(
                    lambda: StreamConnection(Subscriber(thread_id, tally), parts.netloc), host, port
                )
                opened.append(connection)
                await connection.opened

        began_ns = time.time_ns()
        await asyncio.gather(*(one(thread_id) for thread_id in thread_ids))
        return {"began_ns": began_ns}

    async def wait(self, *, group: str, events: int, seconds: float) -> dict[str, Any]:
        """Wait until a group has got `events` since its last `take`; `complete` is false after `seconds`."""
        tally = self._tallies[group]
        enough = asyncio.Event()

        def check() -> None:
            if tally.events >= events:
                enough.set()

        tally.on_event = check
        check()
        try:
            async with asyncio.timeout(seconds):
                await enough.wait()
        except TimeoutError:
            pass
        tally.on_event = lambda: None
        return {"complete": enough.is_set(), "events": tally.events}

    async def take(self, *, group: str) -> dict[str, Any]:
        """Return the counts of a group since the last `take`."""
        tally = self._tallies[group]
        times = sorted(tally.latencies_ns)
        answer: dict[str, Any] = {
            "events": tally.events, "missed": tally.missed, "doubled": tally.doubled, "errors": tally.errors,
            "last_ns": tally.last_ns,
            "closed": sum(connection.closed.done() for connection in self._connections[group]),
        }  # fmt: skip
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)):
            answer[f"{name}_ms"] = percentile(times, share) / 1e6 if times else 0.0
        tally.latencies_ns.clear()
        tally.events = tally.missed = tally.doubled = tally.errors = 0
        return answer

    async def close(self, *, group: str) -> dict[str, Any]:
        """Cut all connections of a group."""
        connections = self._connections.pop(group)
        for connection in connections:
            if connection.transport is not None:
                connection.transport.abort()
        await asyncio.gather(*(connection.closed for connection in connections))
        del self._tallies[group]
        return {}


async def main() -> None:
    """Answer the requests on standard input until it ends."""
    readers = Readers()
    answers: dict[str, Callable[..., Awaitable[dict[str, Any]]]]
    answers = {"open": readers.open, "wait": readers.wait, "take": readers.take, "close": readers.close}
    await answer_questions(answers)


if __name__ == "__main__":
    uvloop.run(main())
