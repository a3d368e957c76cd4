"""Whatever happens between log and client: each retained entry reaches each client once, in order.

What happens is drawn by hypothesis: bells are lost, late and doubled and their line breaks or goes deaf, reads are
slow and fail, clients drop and come back, are slow and run out of room, entries are trimmed and deleted.
"""

import asyncio
import random
from dataclasses import dataclass
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.service.stream.event_hub import EventHub
from gateway.service.stream.subscriber import Batch, Gap, HubTimings, Subscriber
from gateway.service.stream.topic import START
from shared.ids import StreamId, parse_stream_id
from tests.fakes.fake_bells import FakeBells
from tests.fakes.fake_event_log import FakeEventLog

_STREAM, _BELL = "thread:t:stream", "thread:t:bell"
_LIMIT_SECONDS = 10.0
_PACE = HubTimings(
    sweep=0.02, fallback_poll_interval=0.01, batch_interval=0.0, retry=0.002, give_up=3600.0, dead_after=1.0
)
_FUTURE = StreamId(10**15, 0)


@dataclass(frozen=True)
class _Weather:
    """How likely each misfortune is, at each step of the writer."""

    room: int
    keeps: int  # the log is trimmed to no less
    trims: float = 0.0
    deletes: float = 0.0
    losses: float = 0.0
    cuts: float = 0.05


_WEATHERS = st.builds(
    _Weather,
    room=st.sampled_from([1, 400, 5000]),
    keeps=st.sampled_from([5, 150]),
    trims=st.sampled_from([0.0, 0.1]),
    deletes=st.sampled_from([0.0, 0.4]),
    losses=st.sampled_from([0.0, 0.1]),
    cuts=st.sampled_from([0.0, 0.1]),
)


@given(seed=st.integers(0, 2**32), clients=st.integers(1, 5), writes=st.integers(1, 25), weather=_WEATHERS)
@settings(max_examples=30, deadline=None)
def test_every_client_gets_every_retained_entry_once_in_order(
    seed: int, clients: int, writes: int, weather: _Weather
) -> None:
    asyncio.run(_Adversity(random.Random(seed), writes, weather).run(clients))


class _Adversity:
    """One hub, one writer, some clients, and a scheduler that means no good."""

    def __init__(self, chance: random.Random, writes: int, weather: _Weather) -> None:
        self._chance = chance
        self._writes = writes
        self._weather = weather
        self._log = FakeEventLog(self._dawdle)
        self._bells = FakeBells()
        self._written: list[StreamId] = []
        self._trimmed: set[StreamId] = set()
        self._is_written = False

    async def run(self, clients: int) -> None:
        room, keeps = self._weather.room, self._weather.keeps
        hub = EventHub(self._log, self._bells, buffer_bytes=room, max_length=keeps, timings=_PACE)
        async with asyncio.timeout(_LIMIT_SECONDS), hub, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._write())
            tasks.create_task(self._stand_in_the_future(hub))
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

    def check(self, got: list[StreamId], gaps: list[Gap]) -> None:
        """What a client got once everything was written: nothing twice, nothing out of order, nothing left out."""
        assert all(earlier < later for earlier, later in pairwise(got))
        assert set(got) <= set(self._written)
        assert set(self.retained) <= set(got)
        for lost in self._trimmed - set(got):
            announced = any(gap.requested < lost < gap.first_available for gap in gaps)
            assert announced or not got or lost < got[0]

    async def dawdle(self) -> None:
        await self._dawdle()

    async def _dawdle(self) -> None:
        for _ in range(self._chance.randrange(6)):
            await asyncio.sleep(0)

    async def _write(self) -> None:
        for _ in range(self._writes):
            for _ in range(self._chance.choice((1, 1, 2, 130))):
                self._written.append(parse_stream_id(self._log.append(_STREAM)))
            for _ in range(self._chance.choice((0, 1, 1, 2))):
                await self._dawdle()
                self._bells.ring(_BELL)
            await self._misfortune()
            await self._dawdle()
        self._log.is_down = False
        self._is_written = True

    async def _misfortune(self) -> None:
        weather, chance = self._weather, self._chance
        if chance.random() < weather.cuts:
            self._bells.cut()
        if chance.random() < weather.losses:
            self._log.is_down = not self._log.is_down
        if self.retained and chance.random() < weather.deletes:
            self._log.delete(_STREAM, chance.choice(self._log.ids(_STREAM)[-20:]))
        if chance.random() < weather.trims:
            retained = self.retained
            surplus = chance.randint(0, max(0, len(retained) - weather.keeps))
            self._trimmed.update(retained[:surplus])
            self._log.trim(_STREAM, len(retained) - surplus)
        if self._log.is_down:
            for _ in range(50):
                await asyncio.sleep(0)

    async def _stand_in_the_future(self, hub: EventHub) -> None:
        """A client that asked for what is not there yet gets nothing and disturbs nobody."""
        with hub.follow(_STREAM, _BELL, _FUTURE) as subscriber:
            while not self._is_written:
                assert not (await _within(0.01, subscriber)).frames


class _Client:
    """Follows until it has everything, dropping its connection again and again."""

    def __init__(self, chance: random.Random, adversity: _Adversity) -> None:
        self._chance = chance
        self._adversity = adversity
        self._got: list[StreamId] = []
        self._gaps: list[Gap] = []

    async def follow(self, hub: EventHub) -> None:
        adversity = self._adversity
        await adversity.dawdle()
        while not self._is_done():
            with hub.follow(_STREAM, _BELL, self._got[-1] if self._got else START) as subscriber:
                steps = self._chance.randrange(1, 20)
                # Once all is written it stays: dropping and asking anew would heal what the tail had lost.
                while not self._is_done() and (steps or adversity.is_written):
                    steps = max(steps - 1, 0)
                    self._take(await _within(0.004, subscriber))
                    await adversity.dawdle()
        adversity.check(self._got, self._gaps)

    def _take(self, batch: Batch) -> None:
        self._got.extend(frame.id for frame in batch.frames)
        if batch.gap is not None:
            self._gaps.append(batch.gap)

    def _is_done(self) -> bool:
        """Whether the newest entry has come; what is missing before it will never come."""
        newest = self._adversity.newest
        return self._adversity.is_written and (newest is None or self._got[-1:] >= [newest])


async def _within(seconds: float, subscriber: Subscriber) -> Batch:
    """Return the next batch, empty when nothing came within this time."""
    timer = asyncio.get_running_loop().call_later(seconds, subscriber.nudge)
    try:
        return await subscriber.next()
    finally:
        timer.cancel()
