"""What a stream sends besides entries, and when it closes."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from gateway.service.stream.event_hub import EventHub
from gateway.service.stream.stream_session import EventStreamSession, StreamRequest
from gateway.service.stream.subscriber import HubTimings
from gateway.service.stream.topic import START
from gateway.service.stream.types import Item
from shared.config import StreamConfig
from shared.errors import StoreUnavailableError
from shared.store.events import EventPage
from shared.store.redis.notifications import ListenerTimings
from tests.fakes.fake_event_log import FakeEventLog
from tests.fakes.fake_notifications import FakeNotifications

_LIMIT_SECONDS = 5.0
_REQUEST = StreamRequest("t", "stream", "channel", START)


@asynccontextmanager
async def _bursts(
    log: FakeEventLog,
    request: StreamRequest,
    config: StreamConfig | None = None,
    notifications: FakeNotifications | None = None,
) -> AsyncIterator[AsyncIterator[Sequence[Item]]]:
    timings = HubTimings(sweep=0.02, retry=0.005, give_up=0.05, listener=ListenerTimings(retry=0.005, dead_after=1.0))
    async with EventHub(log, notifications or FakeNotifications(), buffer_bytes=4096, timings=timings) as hub:
        async with asyncio.timeout(_LIMIT_SECONDS):
            yield EventStreamSession(hub, log, request, config or StreamConfig()).items()


async def _all(bursts: AsyncIterator[Sequence[Item]]) -> list[str]:
    """Return the names of the items' events in order."""
    return [item.event async for burst in bursts for item in burst]


async def test_a_stream_with_nothing_to_send_sends_waiting() -> None:
    async with _bursts(FakeEventLog(), _REQUEST) as bursts:
        assert [item.event for item in await anext(bursts)] == ["waiting"]


async def test_a_stream_whose_client_left_sends_no_end_event() -> None:
    async with EventHub(FakeEventLog(), FakeNotifications(), buffer_bytes=4096) as hub:
        session = EventStreamSession(hub, FakeEventLog(), _REQUEST, StreamConfig())
        bursts = session.items()
        assert [item.event for item in await anext(bursts)] == ["waiting"]
        session.leave()
        assert await _all(bursts) == []


async def test_waiting_is_not_sent_when_there_are_entries() -> None:
    log = FakeEventLog()
    log.append("stream")
    async with _bursts(log, StreamRequest("t", "stream", "channel", START, until_completion=True)) as bursts:
        assert await _all(bursts) == ["task_agent_execute"]


async def test_a_run_stream_closes_after_its_final_entry() -> None:
    log = FakeEventLog()
    log.append("stream", run_id="a")
    log.append("stream", run_id="b", is_final=True)
    log.append("stream", run_id="a", is_final=True)
    log.append("stream", run_id="a")
    async with _bursts(log, StreamRequest("t", "stream", "channel", START, run_id="b")) as bursts:
        assert await _all(bursts) == ["task_agent_execute"]


async def test_the_stream_of_an_ended_run_closes_even_if_its_end_was_trimmed() -> None:
    log = FakeEventLog()
    log.append("stream", run_id="other")
    async with _bursts(log, StreamRequest("t", "stream", "channel", START, run_id="a", has_ended=True)) as bursts:
        assert await _all(bursts) == ["waiting"]


async def test_what_was_written_before_the_last_run_ended_is_sent_before_the_close() -> None:
    class _EndsMeanwhile(FakeEventLog):
        """The run writes its end between the reader's last page and its query for the active run."""

        async def active_run(self, thread_id: str) -> str | None:
            if not self.ids("stream"):
                self.append("stream", is_final=True)
            return await super().active_run(thread_id)

    async with _bursts(
        _EndsMeanwhile(), StreamRequest("t", "stream", "channel", START, until_completion=True)
    ) as bursts:
        assert await _all(bursts) == ["waiting", "task_agent_execute"]


async def test_an_idle_stream_ends_with_a_timeout() -> None:
    config = StreamConfig(keep_alive_interval=0.02, idle_timeout=0.1)
    async with _bursts(FakeEventLog(), _REQUEST, config) as bursts:
        events = await _all(bursts)
    assert events[0] == "waiting"
    assert events[-1] == "error"
    assert set(events[1:-1]) == {"keep_alive"}


async def test_an_old_connection_is_closed_without_an_error() -> None:
    log = FakeEventLog()
    log.active_run_id = "run"
    config = StreamConfig(keep_alive_interval=0.02, idle_timeout=0.05, max_duration=0.15)
    async with _bursts(log, _REQUEST, config) as bursts:
        assert "error" not in await _all(bursts)


async def test_keep_alives_are_sent_while_redis_is_down_until_the_stream_ends() -> None:
    log = FakeEventLog()
    log.is_down = True
    config = StreamConfig(keep_alive_interval=0.01, idle_timeout=60.0)
    async with _bursts(log, _REQUEST, config) as bursts:
        events = await _all(bursts)
    assert events[0] == "keep_alive"
    assert events[-1] == "error"


async def test_a_failed_query_for_the_active_run_is_repeated() -> None:
    class _FailsOnce(FakeEventLog):
        has_failed = False

        async def active_run(self, thread_id: str) -> str | None:
            if not self.has_failed:
                self.has_failed = True
                raise StoreUnavailableError
            return await super().active_run(thread_id)

    log = _FailsOnce()
    log.append("stream", is_final=True)
    async with _bursts(log, StreamRequest("t", "stream", "channel", START, until_completion=True)) as bursts:
        assert await _all(bursts) == ["task_agent_execute"]


async def test_the_last_read_is_not_one_that_another_client_began_before_the_end() -> None:
    class _SlowAnswers(FakeEventLog):
        """While one client asks for the active run, another opens at its position, and the run ends meanwhile."""

        answers = asyncio.Event()
        is_slow = False

        async def page_with_first(self, stream: str, *, after: str, limit: int, most_bytes: int = 0) -> EventPage:
            page = await super().page_with_first(stream, after=after, limit=limit, most_bytes=most_bytes)
            if self.is_slow:
                self.is_slow = False
                await self.answers.wait()
            return page

        async def active_run(self, thread_id: str) -> str | None:
            if not self.ids("stream"):
                self.is_slow = True
                opened.append(asyncio.create_task(anext(other)))
                while self.is_slow:
                    await super().active_run(thread_id)
                self.append("stream", is_final=True)
                asyncio.get_running_loop().call_later(0.05, self.answers.set)
            return None

    log = _SlowAnswers()
    opened: list[asyncio.Task[Sequence[Item]]] = []
    request = StreamRequest("t", "stream", "channel", START, until_completion=True)
    async with EventHub(log, FakeNotifications(), buffer_bytes=4096) as hub, asyncio.timeout(_LIMIT_SECONDS):
        other = EventStreamSession(hub, log, _REQUEST, StreamConfig()).items()
        assert await _all(EventStreamSession(hub, log, request, StreamConfig()).items()) == [
            "waiting",
            "task_agent_execute",
        ]
        await asyncio.gather(*opened)
        await other.aclose()


async def test_the_stream_of_an_ended_run_shares_no_read_begun_before_its_end() -> None:
    class _SlowOnce(FakeEventLog):
        """The first page is read before the run's end, and returned after it."""

        async def page_with_first(self, stream: str, *, after: str, limit: int, most_bytes: int = 0) -> EventPage:
            page = await super().page_with_first(stream, after=after, limit=limit, most_bytes=most_bytes)
            if not self.ids("stream"):
                began.set()
                await goes_on.wait()
            return page

    log, began, goes_on = _SlowOnce(), asyncio.Event(), asyncio.Event()
    request = StreamRequest("t", "stream", "channel", START, run_id="run", has_ended=True)
    async with EventHub(log, FakeNotifications(), buffer_bytes=4096) as hub, asyncio.timeout(_LIMIT_SECONDS):
        other = EventStreamSession(hub, log, _REQUEST, StreamConfig()).items()
        first = asyncio.create_task(anext(other))
        await began.wait()
        log.append("stream", is_final=True)
        bursts = EventStreamSession(hub, log, request, StreamConfig()).items()
        asyncio.get_running_loop().call_later(0.05, goes_on.set)
        assert await _all(bursts) == ["waiting", "task_agent_execute"]
        await first
        await other.aclose()
