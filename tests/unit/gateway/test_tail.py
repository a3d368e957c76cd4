"""What a stream says besides entries, and when it closes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.service.channel import START
from gateway.service.event_hub import EventHub
from gateway.service.follower import Pace
from gateway.service.tail import Tail, TailRequest
from shared.contract.config import StreamConfig
from tests.fakes.fake_bells import FakeBells
from tests.fakes.fake_event_log import FakeEventLog

_LIMIT_SECONDS = 5.0
_REQUEST = TailRequest("t", "stream", "bell", START)


@asynccontextmanager
async def _chunks(
    log: FakeEventLog, request: TailRequest, config: StreamConfig | None = None, bells: FakeBells | None = None
) -> AsyncIterator[AsyncIterator[bytes]]:
    pace = Pace(sweep=0.02, retry=0.005, give_up=0.05, silence=1.0)
    async with EventHub(log, bells or FakeBells(), buffer_bytes=4096, pace=pace) as hub:
        async with asyncio.timeout(_LIMIT_SECONDS):
            yield Tail(hub, log, request, config or StreamConfig()).chunks()


async def _all(chunks: AsyncIterator[bytes]) -> list[str]:
    """Return the names of the frames' events in order."""
    text = b"".join([chunk async for chunk in chunks]).decode()
    return [line.removeprefix("event: ") for line in text.splitlines() if line.startswith("event: ")]


async def test_the_first_chunk_sets_the_retry_time() -> None:
    async with _chunks(FakeEventLog(), _REQUEST) as chunks:
        assert await anext(chunks) == b"retry: 3000\n\n"
        assert (await anext(chunks)).startswith(b"event: waiting")


async def test_nothing_waits_when_there_is_something_to_send() -> None:
    log = FakeEventLog()
    log.append("stream")
    async with _chunks(log, TailRequest("t", "stream", "bell", START, until_completion=True)) as chunks:
        assert await _all(chunks) == ["task_agent_execute"]


async def test_a_run_stream_closes_after_its_final_entry() -> None:
    log = FakeEventLog()
    log.append("stream", run_id="a")
    log.append("stream", run_id="b", is_final=True)
    log.append("stream", run_id="a", is_final=True)
    log.append("stream", run_id="a")
    async with _chunks(log, TailRequest("t", "stream", "bell", START, run_id="b")) as chunks:
        assert await _all(chunks) == ["task_agent_execute"]


async def test_the_stream_of_an_ended_run_closes_even_if_its_end_was_trimmed() -> None:
    log = FakeEventLog()
    log.append("stream", run_id="other")
    async with _chunks(log, TailRequest("t", "stream", "bell", START, run_id="a", has_ended=True)) as chunks:
        assert await _all(chunks) == ["waiting"]


async def test_what_was_written_before_the_last_run_ended_is_sent_before_the_close() -> None:
    class _EndsMeanwhile(FakeEventLog):
        """The run writes its end between the reader's last page and its question whether a run is active."""

        async def active_run(self, thread_id: str) -> str | None:
            if not self.ids("stream"):
                self.append("stream", is_final=True)
            return await super().active_run(thread_id)

    async with _chunks(_EndsMeanwhile(), TailRequest("t", "stream", "bell", START, until_completion=True)) as chunks:
        assert await _all(chunks) == ["waiting", "task_agent_execute"]


async def test_an_idle_stream_ends_with_a_timeout() -> None:
    config = StreamConfig(keep_alive_interval=0.02, idle_timeout=0.1)
    async with _chunks(FakeEventLog(), _REQUEST, config) as chunks:
        events = await _all(chunks)
    assert events[0] == "waiting"
    assert events[-1] == "error"
    assert set(events[1:-1]) == {"keep_alive"}


async def test_an_old_connection_is_closed_without_an_error() -> None:
    log = FakeEventLog()
    log.active_run_id = "run"
    config = StreamConfig(keep_alive_interval=0.02, idle_timeout=0.05, max_duration=0.15)
    async with _chunks(log, _REQUEST, config) as chunks:
        assert "error" not in await _all(chunks)


async def test_keep_alives_go_on_while_redis_is_away_until_it_is_given_up() -> None:
    log = FakeEventLog()
    log.is_down = True
    config = StreamConfig(keep_alive_interval=0.01, idle_timeout=60.0)
    async with _chunks(log, _REQUEST, config) as chunks:
        events = await _all(chunks)
    assert events[0] == "keep_alive"
    assert events[-1] == "error"


async def test_no_chunk_is_much_larger_than_64_kilobytes() -> None:
    log = FakeEventLog()
    for _ in range(20):
        log.append("stream", data=b"x" * 20_000)
    async with _chunks(log, TailRequest("t", "stream", "bell", START, until_completion=True)) as chunks:
        sizes = [len(chunk) async for chunk in chunks]
    assert max(sizes) < 90_000
    assert sum(sizes) > 400_000
