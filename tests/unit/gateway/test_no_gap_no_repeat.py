"""Whatever fails between log and client: each retained entry reaches each client once, in order.

Hypothesis draws the faults: notifications are lost, late or doubled, the subscription breaks, reads are slow and fail,
clients disconnect and reconnect, are slow and fill their buffer, entries are trimmed and deleted. Some clients can be
written to directly, at times.
"""

import asyncio
import random
from dataclasses import dataclass
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.service.stream.event_hub import EventHub
from gateway.service.stream.subscriber import Batch, HubTimings, MissingEvents, Subscriber
from gateway.service.stream.topic import START
from gateway.service.stream.types import Burst
from shared.ids import StreamId, parse_stream_id
from shared.store.redis.notifications import ListenerTimings
from tests.fakes.fake_event_log import FakeEventLog
from tests.fakes.fake_notifications import FakeNotifications

_STREAM, _CHANNEL = "thread:t:stream", "thread:t:bell"
_LIMIT_SECONDS = 10.0
_TIMINGS = HubTimings(
    sweep=0.02,
    fallback_poll_interval=0.01,
    retry=0.002,
    give_up=3600.0,
    listener=ListenerTimings(batch_interval=0.0, retry=0.002, dead_after=1.0),
)
_FUTURE = StreamId(10**15, 0)


@dataclass(frozen=True)
class _Faults:
    """The probability of each fault at each step of the writer, and the sizes of buffer and log."""

    buffer_bytes: int
    keeps: int  # the log is trimmed to no less
    trims: float = 0.0
    deletes: float = 0.0
    outages: float = 0.0
    cuts: float = 0.05


_FAULTS = st.builds(
    _Faults,
    buffer_bytes=st.sampled_from([1, 400, 5000]),
    keeps=st.sampled_from([5, 150]),
    trims=st.sampled_from([0.0, 0.1]),
    deletes=st.sampled_from([0.0, 0.4]),
    outages=st.sampled_from([0.0, 0.1]),
    cuts=st.sampled_from([0.0, 0.1]),
)


@given(seed=st.integers(0, 2**32), clients=st.integers(1, 5), writes=st.integers(1, 25), faults=_FAULTS)
@settings(max_examples=30, deadline=None)
def test_every_client_gets_every_retained_entry_once_in_order(
    seed: int, clients: int, writes: int, faults: _Faults
) -> None:
    asyncio.run(_Scenario(random.Random(seed), writes, faults).run(clients))


class _Scenario:
    """One hub, one writer, some clients, and random faults."""

    def __init__(self, chance: random.Random, writes: int, faults: _Faults) -> None:
        self._chance = chance
        self._writes = writes
        self._faults = faults
        self._log = FakeEventLog(self.pause)
        self._notifications = FakeNotifications()
        self._written: list[StreamId] = []
        self._trimmed: set[StreamId] = set()
        self._is_written = False

    async def run(self, clients: int) -> None:
        size, keeps = self._faults.buffer_bytes, self._faults.keeps
        hub = EventHub(self._log, self._notifications, buffer_bytes=size, max_length=keeps, timings=_TIMINGS)
        async with asyncio.timeout(_LIMIT_SECONDS), hub, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._write())
            tasks.create_task(self._follow_future_id(hub))
            for _ in range(clients):
                tasks.create_task(_Client(self._chance, self).follow(hub))

    @property
    def is_written(self) -> bool:
        return self._is_written

    @property
    def newest(self) -> StreamId | None:
        ids = self._log.ids(_STREAM)
        return parse_stream_id(ids[-1]) if ids else None

    @property
    def retained(self) -> list[StreamId]:
        return [parse_stream_id(entry_id) for entry_id in self._log.ids(_STREAM)]

    def check(self, got: list[StreamId], gaps: list[MissingEvents]) -> None:
        """Check what a client got once everything was written: nothing repeated, out of order or missing."""
        assert all(earlier < later for earlier, later in pairwise(got))
        assert set(got) <= set(self._written)
        assert set(self.retained) <= set(got)
        for lost in self._trimmed - set(got):
            announced = any(gap.requested < lost < gap.first_available for gap in gaps)
            assert announced or not got or lost < got[0]

    async def pause(self) -> None:
        for _ in range(self._chance.randrange(6)):
            await asyncio.sleep(0)

    async def _write(self) -> None:
        for _ in range(self._writes):
            for _ in range(self._chance.choice((1, 1, 2, 130))):
                self._written.append(parse_stream_id(self._log.append(_STREAM)))
            for _ in range(self._chance.choice((0, 1, 1, 2))):
                await self.pause()
                self._notifications.notify(_CHANNEL)
            await self._inject_faults()
            await self.pause()
        self._log.is_down = False
        self._is_written = True

    async def _inject_faults(self) -> None:
        faults, chance = self._faults, self._chance
        if chance.random() < faults.cuts:
            self._notifications.cut()
        if chance.random() < faults.outages:
            self._log.is_down = not self._log.is_down
        if self.retained and chance.random() < faults.deletes:
            self._log.delete(_STREAM, chance.choice(self._log.ids(_STREAM)[-20:]))
        if chance.random() < faults.trims:
            retained = self.retained
            surplus = chance.randint(0, max(0, len(retained) - faults.keeps))
            self._trimmed.update(retained[:surplus])
            self._log.trim(_STREAM, len(retained) - surplus)
        if self._log.is_down:
            for _ in range(50):
                await asyncio.sleep(0)

    async def _follow_future_id(self, hub: EventHub) -> None:
        """Subscribe after an id that does not exist yet, and get nothing."""
        with hub.subscribe(_STREAM, _CHANNEL, _FUTURE) as subscriber:
            while not self._is_written:
                assert not (await _within(0.01, subscriber)).frames


class _Client:
    """Reads until it has everything, reconnecting again and again."""

    def __init__(self, chance: random.Random, scenario: _Scenario) -> None:
        self._chance = chance
        self._scenario = scenario
        self._got: list[StreamId] = []
        self._gaps: list[MissingEvents] = []
        self._takes_directly = chance.choice((0.0, 0.5, 1.0))

    def send(self, burst: Burst) -> bool:
        """Take a burst directly, or not."""
        is_taken = self._chance.random() < self._takes_directly
        if is_taken:
            self._got.extend(frame.id for frame in burst.frames)
        return is_taken

    async def follow(self, hub: EventHub) -> None:
        scenario = self._scenario
        await scenario.pause()
        while not self._is_done():
            with hub.subscribe(_STREAM, _CHANNEL, self._got[-1] if self._got else START) as subscriber:
                subscriber.direct = self if self._takes_directly else None
                steps = self._chance.randrange(1, 20)
                # Once all is written it stays connected: a reconnect would hide a lost entry.
                while not self._is_done() and (steps or scenario.is_written):
                    steps = max(steps - 1, 0)
                    batch = await _within(0.004, subscriber)
                    await scenario.pause()  # its task is sending: what is written directly now would go ahead of it
                    self._take(batch)
        scenario.check(self._got, self._gaps)

    def _take(self, batch: Batch) -> None:
        self._got.extend(frame.id for frame in batch.frames)
        if batch.gap is not None:
            self._gaps.append(batch.gap)

    def _is_done(self) -> bool:
        """Whether the newest entry has arrived; what is missing before it will never arrive."""
        newest = self._scenario.newest
        return self._scenario.is_written and (newest is None or self._got[-1:] >= [newest])


async def _within(seconds: float, subscriber: Subscriber) -> Batch:
    """Return the next batch, empty when nothing came within this time."""
    timer = asyncio.get_running_loop().call_later(seconds, subscriber.nudge)
    try:
        return await subscriber.next()
    finally:
        timer.cancel()
