"""Which reads of the log are shared."""

import asyncio

from gateway.service.stream.page_reader import SharedPages
from gateway.service.stream.topic import START, StreamTopic
from shared.store.events import EventPage
from tests.fakes.fake_event_log import FakeEventLog

_LIMIT_SECONDS = 5.0


class _GatedLog(FakeEventLog):
    """Each page is read at once, and returned when its gate is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.gates: list[asyncio.Event] = []
        self.has_read = asyncio.Event()

    async def page_with_first(self, stream: str, *, after: str, limit: int, most_bytes: int = 0) -> EventPage:
        page = await super().page_with_first(stream, after=after, limit=limit, most_bytes=most_bytes)
        gate = asyncio.Event()
        self.gates.append(gate)
        self.has_read.set()
        await gate.wait()
        return page

    async def until_read(self) -> None:
        await self.has_read.wait()
        self.has_read.clear()


async def test_a_newer_read_is_still_shared_after_an_older_one_ended() -> None:
    log = _GatedLog()
    pages, topic = SharedPages(log), StreamTopic("stream", "channel", page_bytes=4096, request_read=lambda _: None)
    async with asyncio.timeout(_LIMIT_SECONDS):
        old = asyncio.create_task(pages.read(topic, START).page())
        await log.until_read()
        log.append("stream")
        begun = pages.begun
        new = asyncio.create_task(pages.read(topic, START, newer_than=begun).page())
        await log.until_read()
        log.gates[0].set()
        assert not (await old).frames
        sharing = asyncio.create_task(pages.read(topic, START, newer_than=begun).page())
        await asyncio.sleep(0)
        assert pages.begun == begun + 1
        log.gates[1].set()
        assert await sharing is await new
        assert len((await new).frames) == 1
