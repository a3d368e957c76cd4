"""The resources of a worker process are opened, reported alive, and closed."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from modem.service.runtime import Runtime
from shared.broker.queue import make_celery
from shared.config import LLMConfig, ModemConfig, RedisConfig
from shared.keys import MODEM_INDEX
from shared.settings.model import Settings
from shared.store.redis.connection import Connection, open_redis
from shared.store.workers import WorkerStore
from tests.e2e.service_process import service_environment
from workflow.llm.model import ModelRequest

ROOT = Path(__file__).parents[2]
# A worker with the offline model, ready, that has played a step.
OFFLINE_WORKER = """
import asyncio, os, sys
from datetime import date
from pathlib import Path
from modem.core.main import create_modem
from shared.contract.message import ChatMessage, Role
from shared.contract.state import Phase
from workflow.llm.model import ModelRequest
async def play():
    modem = create_modem(os.environ, Path.cwd())
    async with modem._runtime as runtime:
        engine = await runtime.services.engines.build("thread", date(2025, 1, 1))
        request = ModelRequest("", (ChatMessage(role=Role.USER, content="hello"),))
        return [item async for item in engine.models[Phase.PLANNING].stream(request)][-1].text
print(asyncio.run(play()))
print(*sorted(name for name in sys.modules if name.partition(".")[0] in ("litellm", "openai", "fastapi", "tiktoken")))
"""


class SlowModel:
    """A custom model that is built when the test releases it."""

    is_being_made = threading.Event()
    may_be_made = threading.Event()

    def __init__(self, _config: LLMConfig) -> None:
        self.is_being_made.set()
        self.may_be_made.wait(20)

    def stream(self, _request: ModelRequest) -> None:
        raise AssertionError("nobody asks it")


class FailingModel:
    """A custom model whose construction fails with an error that is not ours."""

    def __init__(self, _config: LLMConfig) -> None:
        raise ValueError("no licence")


def settings_for(redis_url: str, folder: Path, model: str = "offline/demo") -> Settings:
    return Settings(
        data_dir=folder,
        redis=RedisConfig(url=SecretStr(redis_url)),
        llm=LLMConfig(model=model),
        modem=ModemConfig(renew_seconds=0.01),
    )


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = open_redis(RedisConfig(url=SecretStr(redis_url)))
    yield client
    await client.aclose()


async def until_alive(workers: WorkerStore) -> None:
    async with asyncio.timeout(20):
        while not await workers.count_alive():
            pass


async def test_a_worker_is_alive_while_it_is_open_and_leaves_nothing_behind(
    redis_url: str, redis: Redis, tmp_path: Path
) -> None:
    settings = settings_for(redis_url, tmp_path)
    workers = WorkerStore(Connection(redis))
    async with Runtime(settings, make_celery(settings.modem, settings.redis), {}):
        await until_alive(workers)
    assert await workers.count_alive() == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_a_worker_with_the_offline_model_imports_no_litellm(redis_url: str, tmp_path: Path) -> None:
    settings = {"REDIS_URL": redis_url, "BAUD_LLM__MODEL": "offline/demo", "BAUD_DATA_DIR": str(tmp_path)}
    env = service_environment(settings)
    argv = [sys.executable, "-c", OFFLINE_WORKER]
    process = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert process.returncode == 0, process.stderr
    text, modules = process.stdout.splitlines()
    assert "offline model" in text
    assert modules == ""


async def test_a_worker_is_alive_only_after_its_model_is_built(redis_url: str, redis: Redis, tmp_path: Path) -> None:
    settings = settings_for(redis_url, tmp_path, f"python:{__name__}:SlowModel")
    workers = WorkerStore(Connection(redis))
    SlowModel.may_be_made.clear()
    async with AsyncExitStack() as stack:
        runtime = Runtime(settings, make_celery(settings.modem, settings.redis), {})
        opening = asyncio.create_task(stack.enter_async_context(runtime))
        async with asyncio.timeout(20):
            assert await asyncio.to_thread(SlowModel.is_being_made.wait, 15)
        assert await workers.count_alive() == 0
        SlowModel.may_be_made.set()
        await opening
        await until_alive(workers)


@pytest.mark.parametrize(
    ("model", "reason"),
    [(f"python:{__name__}:Missing", "Missing"), (f"python:{__name__}:FailingModel", "no licence")],
    ids=["not there", "fails"],
)
async def test_a_worker_whose_model_cannot_be_built_runs_all_the_same(
    redis_url: str, redis: Redis, tmp_path: Path, caplog: pytest.LogCaptureFixture, *, model: str, reason: str
) -> None:
    settings = settings_for(redis_url, tmp_path, model)
    async with Runtime(settings, make_celery(settings.modem, settings.redis), {}):
        await until_alive(WorkerStore(Connection(redis)))
    assert "runs cannot begin" in caplog.text
    assert reason in caplog.text


async def test_a_redis_that_may_lose_runs_is_named_when_a_worker_starts(
    redis_url: str, redis: Redis, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_for(redis_url, tmp_path)
    workers = WorkerStore(Connection(redis))
    risks = await workers.find_risks()
    async with Runtime(settings, make_celery(settings.modem, settings.redis), {}):
        await until_alive(workers)
    assert risks
    assert all(risk in caplog.text for risk in risks)


async def test_a_background_task_that_fails_is_logged_and_restarted(
    redis_url: str, redis: Redis, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_for(redis_url, tmp_path)
    workers = WorkerStore(Connection(redis))
    await Connection(redis).redis.set(MODEM_INDEX, "not a sorted set")
    async with Runtime(settings, make_celery(settings.modem, settings.redis), {}), asyncio.timeout(20):
        while "a background task of the worker failed; restarting it: worker heartbeat" not in caplog.text:
            await Connection(redis).redis.ping()
        await Connection(redis).redis.delete(MODEM_INDEX)
        await until_alive(workers)
