"""The limits of open streams: counts are right however a stream ends."""

import asyncio
from contextlib import ExitStack

import pytest

from gateway.service.stream.stream_limits import StreamLimits
from shared.config import GatewayConfig
from shared.errors import ShuttingDownError, TooManyStreamsError


def _stream_limits(*, in_all: int = 0, per_client: int = 0) -> StreamLimits:
    return StreamLimits(GatewayConfig(max_streams=in_all, max_streams_per_client=per_client))


def test_a_stream_above_the_limit_is_refused_until_another_ends() -> None:
    stream_limits = _stream_limits(in_all=2)
    with stream_limits.admit("a"):
        with stream_limits.admit("b"), pytest.raises(TooManyStreamsError, match=r"gateway\.max_streams\."):
            stream_limits.admit("c").__enter__()
        with stream_limits.admit("c"):
            assert stream_limits.count == 2
    assert stream_limits.count == 0


def test_the_limit_of_one_client_is_not_that_of_another() -> None:
    stream_limits = _stream_limits(per_client=1)
    with stream_limits.admit("a"):
        with pytest.raises(TooManyStreamsError, match="max_streams_per_client"), stream_limits.admit("a"):
            pass
        with stream_limits.admit("b"):
            assert stream_limits.count == 2


def test_zero_means_no_limit() -> None:
    stream_limits = _stream_limits()
    with ExitStack() as streams:
        for _ in range(100):
            streams.enter_context(stream_limits.admit("a"))
        assert stream_limits.count == 100


def test_a_stream_that_fails_releases_its_place() -> None:
    stream_limits = _stream_limits(in_all=1, per_client=1)
    with pytest.raises(RuntimeError), stream_limits.admit("a"):
        raise RuntimeError
    with stream_limits.admit("a"):
        pass


async def test_a_stopping_gateway_admits_no_stream_and_waits_for_the_open_ones() -> None:
    stream_limits = _stream_limits()
    with stream_limits.admit("a"):
        stream_limits.stop()
        with pytest.raises(ShuttingDownError), stream_limits.admit("b"):
            pass
        assert not await stream_limits.wait_until_empty(0.01)
        waiting = asyncio.create_task(stream_limits.wait_until_empty(5.0))
    assert await waiting
