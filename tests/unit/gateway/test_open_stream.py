"""Where a stream begins, and which requests are refused before."""

import pytest

from gateway.service.stream.open_stream import (
    FlowRuns,
    open_legacy_stream,
    open_run_stream,
    open_thread_stream,
    parse_last_id,
)
from gateway.service.stream.topic import START
from shared.contract.run import RunRecord, RunStatus
from shared.errors import InvalidStreamIdError, RunNotFoundError, ThreadNotFoundError
from shared.ids import LAST_STREAM_ID, StreamId
from shared.keys import ThreadKeys

_KEYS = ThreadKeys("t")


class FakeStores:
    """One thread with one run, whose stream ends at 9-1."""

    newest = "9-1"

    def __init__(self, *, completion_id: str | None = None) -> None:
        status = RunStatus.COMPLETED if completion_id else RunStatus.PROCESSING
        self._run = RunRecord(
            run_id="r", thread_id="t", task="", created_at="", status=status, completion_id=completion_id
        )

    async def exists(self, thread_id: str) -> bool:
        return thread_id == "t"

    async def get(self, thread_id: str, run_id: str) -> RunRecord:
        if run_id != "r":
            raise RunNotFoundError
        return self._run

    async def find(self, run_id: str) -> RunRecord:
        return await self.get("t", run_id)

    async def active_run(self, thread_id: str) -> str | None:
        return f"active on {thread_id}"

    async def last_id(self, stream: str) -> str:
        return self.newest


@pytest.mark.parametrize(
    ("last_id", "cursor"),
    [("", START), ("0", START), ("0-0", START), ("5", StreamId(5, 0)), ("5-7", StreamId(5, 7)), ("$", None)],
)
def test_a_position_is_parsed_as_redis_does(last_id: str, cursor: StreamId | None) -> None:
    assert parse_last_id(last_id) == cursor


@pytest.mark.parametrize(
    "last_id", ["nonsense", "-1", "1-", "1-2-3", "$$", " 1", "99999999999999999999999-0", f"{2**64 - 1}-{2**64 - 1}"]
)
def test_an_invalid_position_is_refused(last_id: str) -> None:
    with pytest.raises(InvalidStreamIdError):
        parse_last_id(last_id)


async def test_dollar_is_resolved_to_the_newest_id() -> None:
    stores = FakeStores()
    request = await open_thread_stream(stores, stores, _KEYS, "$", until_completion=False)
    assert request.cursor == StreamId(9, 1)


async def test_an_unknown_thread_has_no_stream() -> None:
    stores = FakeStores()
    with pytest.raises(ThreadNotFoundError):
        await open_thread_stream(stores, stores, ThreadKeys("other"), "", until_completion=False)


@pytest.mark.parametrize(
    ("completion_id", "last_id", "has_more"),
    [("9-1", "9-0", True), ("9-1", "9-1", False), ("9-1", "10-0", False), ("9-1", "$", False), (None, "9-1", True)],
)
async def test_an_ended_run_whose_end_was_seen_has_no_stream(
    completion_id: str | None, last_id: str, has_more: bool
) -> None:
    stores = FakeStores(completion_id=completion_id)
    request = await open_run_stream(stores, stores, _KEYS, "r", last_id=last_id)
    assert (request is not None) is has_more
    assert request is None or request.has_ended is (completion_id is not None)


async def test_a_legacy_stream_has_its_own_key_and_the_channel_of_its_flow() -> None:
    request = await open_legacy_stream(FakeStores(), ThreadKeys("flow"), "input", "")
    assert (request.stream, request.channel, request.cursor) == ("stream:flow:input", "thread:flow:bell", START)


async def test_a_run_that_ends_while_its_stream_is_opened_is_followed_to_its_end() -> None:
    class _EndsMeanwhile(FakeStores):
        """The run ends after the first question."""

        has_ended = False

        async def get(self, thread_id: str, run_id: str) -> RunRecord:
            stores = FakeStores(completion_id="9-2" if self.has_ended else None)
            self.has_ended = True
            return await stores.get(thread_id, run_id)

        async def last_id(self, stream: str) -> str:
            newest = "9-2" if self.has_ended else "9-1"
            self.has_ended = True
            return newest

    stores = _EndsMeanwhile()
    request = await open_run_stream(stores, stores, _KEYS, "r", last_id="$")
    assert request is not None
    assert (request.cursor, request.has_ended) == (StreamId(9, 1), True)


@pytest.mark.parametrize(
    ("flow_input_uuid", "active"),
    [("r", "active on t"), ("other", "active on flow")],
    ids=["on a thread of its own", "not begun yet"],
)
async def test_a_legacy_stream_asks_for_the_active_run_of_its_inputs_thread(flow_input_uuid: str, active: str) -> None:
    stores = FakeStores()
    assert await FlowRuns(stores, stores, flow_input_uuid).active_run("flow") == active


async def test_a_stream_whose_last_id_is_the_largest_cannot_be_opened_at_its_end() -> None:
    stores = FakeStores()
    stores.newest = str(LAST_STREAM_ID)
    with pytest.raises(InvalidStreamIdError):
        await open_thread_stream(stores, stores, _KEYS, "$", until_completion=False)
