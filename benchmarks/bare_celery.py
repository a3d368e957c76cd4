"""The floor of any design with Celery: one message to a worker, one answer back, on the same Redis."""

import asyncio
import os
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from celery import Celery
from redis import Redis

from shared.broker.queue import make_celery
from shared.config import ModemConfig, RedisConfig

_QUEUE = "bare"


def _app(redis_url: str) -> Celery:
    app = make_celery(ModemConfig(queue=_QUEUE), RedisConfig.model_validate({"url": redis_url}))
    redis = Redis.from_url(redis_url)

    @app.task(name="bare.echo")
    def echo(reply_to: str) -> None:
        redis.rpush(reply_to, b"1")
        redis.expire(reply_to, 60)

    return app


def serve(redis_url: str) -> None:
    """Run the worker until it is stopped."""
    worker = _app(redis_url).Worker(
        pool="threads", concurrency=4, without_gossip=True, without_mingle=True, without_heartbeat=True, quiet=True
    )
    worker.start()


@asynccontextmanager
async def bare_worker(redis_url: str) -> AsyncIterator[None]:
    """Keep the worker running inside the block."""
    code = "import os; from benchmarks.bare_celery import serve; serve(os.environ['BARE_REDIS'])"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, env={**os.environ, "BARE_REDIS": redis_url}, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


def round_trips(redis_url: str, count: int) -> list[float]:
    """Return the seconds of `count` round trips, one after the other, the first (a cold connection) left out."""
    app, redis = _app(redis_url), Redis.from_url(redis_url)
    seconds = []
    for _ in range(count + 1):
        reply_to = f"bare:{uuid.uuid4()}"
        began = time.perf_counter()
        app.send_task("bare.echo", args=[reply_to], queue=_QUEUE)
        redis.blpop([reply_to], timeout=30)
        seconds.append(time.perf_counter() - began)
    return seconds[1:]
