"""Who may open a stream: counts that are right however a stream ends."""

import asyncio
from contextlib import ExitStack

import pytest

from gateway.service.stream.stream_limits import StreamAdmission
from shared.config import GatewayConfig
from shared.errors import ShuttingDownError, TooManyStreamsError


def _admission(*, in_all: int = 0, per_client: int = 0) -> StreamAdmission:
    return StreamAdmission(GatewayConfig(max_streams=in_all, max_streams_per_client=per_client))


def test_one_stream_above_the_limit_is_refused_and_admitted_once_another_ends() -> None:
    admission = _admission(in_all=2)
    with admission.admit("a"):
        with admission.admit("b"), pytest.raises(TooManyStreamsError, match=r"gateway\.max_streams\."):
            admission.admit("c").__enter__()
        with admission.admit("c"):
            assert admission.count == 2
    assert admission.count == 0


def test_the_limit_of_one_client_is_not_that_of_another() -> None:
    admission = _admission(per_client=1)
    with admission.admit("a"):
        with pytest.raises(TooManyStreamsError, match="max_streams_per_client"), admission.admit("a"):
            pass
        with admission.admit("b"):
            assert admission.count == 2


def test_zero_means_no_limit() -> None:
    admission = _admission()
    with ExitStack() as streams:
        for _ in range(100):
            streams.enter_context(admission.admit("a"))
        assert admission.count == 100


def test_a_stream_that_fails_gives_its_place_back() -> None:
    admission = _admission(in_all=1, per_client=1)
    with pytest.raises(RuntimeError), admission.admit("a"):
        raise RuntimeError
    with admission.admit("a"):
        pass


async def test_who_stops_admits_nobody_and_waits_for_the_open_streams() -> None:
    admission = _admission()
    with admission.admit("a"):
        admission.stop()
        with pytest.raises(ShuttingDownError), admission.admit("b"):
            pass
        assert not await admission.wait_until_empty(0.01)
        waiting = asyncio.create_task(admission.wait_until_empty(5.0))
    assert await waiting
