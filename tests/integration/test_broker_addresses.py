"""Jobs published to real brokers by each form of address."""

from pathlib import Path

from pydantic import SecretStr
from redis import Redis

from gateway.service.dispatch import JobDispatcher
from shared.broker.queue import make_celery
from shared.config import ModemConfig, RedisConfig
from shared.contract.run import RunJob
from tests.integration.redis_process import RedisProcess
from tests.integration.sentinel_group import SentinelGroup

JOB = RunJob(thread_id="t", run_id="r")


def publisher(url: str) -> JobDispatcher:
    redis = RedisConfig(url=SecretStr(url), connect_timeout=1.0)
    return JobDispatcher(make_celery(ModemConfig(), redis, socket_timeout=1.0), timeout_seconds=2.0)


def queued(redis: "Redis") -> int:
    return int(str(redis.llen("celery")))


async def test_a_job_is_published_over_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    server = RedisProcess(options=("--unixsocket", str(path)))
    server.start()
    sent = publisher(f"unix://{path}?db=2")
    try:
        await sent.publish(JOB)
        await sent.check()
        with Redis.from_url(f"unix://{path}?db=2") as redis:
            assert queued(redis) == 1
    finally:
        await sent.close()
        server.stop()


async def test_jobs_go_to_the_new_master_after_the_old_one_dies(tmp_path: Path) -> None:
    with SentinelGroup(tmp_path) as group:
        sent = publisher(group.url)
        await sent.publish(JOB)
        old = group.master()
        group.kill_master()
        group.wait_for_other_master(old)
        await sent.publish(JOB)
        await sent.check()
        assert queued(group.redis) == 2
        await sent.close()
