"""`python -m tests.upgrade.write_samples REF`: have another commit write what is kept of it in tests/data.

Everything is written by that commit's own gateway and worker: `redis.jsonl` holds every key as it is in Redis, with
runs in each state in which an upgrade can meet them; `rabbitmq.json` a message of RabbitMQ, `queued.jsonl` the run that
it is of; `workspace` what runs left in their folders; `settings.json` what it read of `config.toml`, which is kept by
hand and has every key.
"""

import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import amqp
import httpx
from redis.asyncio import Redis

from shared.contract.run import RunStatus
from tests.chaos.run_client import TIME_LIMITS, Followed
from tests.chaos.scripted_worker_model import Pause
from tests.integration.rabbit_process import RabbitProcess
from tests.other_commit import ROOT, Checkout, other_commit
from tests.upgrade.audience import publish_legacy
from tests.upgrade.cast import Cast
from tests.upgrade.person import Person
from tests.upgrade.stack import MixedStack
from tests.upgrade.version import Version

# So that questions are still open when the samples are read.
_SETTINGS: Final = {"BAUD_AGENT__QUESTION_TIMEOUT": "3e9"}
_FOLDER: Final = "/srv/baud"  # stands for the temporary one
_DUMP_SETTINGS: Final = """
import json, pathlib
from shared.settings.load import load_settings
def plain(value):
    return value.get_secret_value() if hasattr(value, "get_secret_value") else str(value)
settings = load_settings({"BAUD_LLM__API_KEY": "key-from-the-environment"}, pathlib.Path(FOLDER))
print(json.dumps(settings.model_dump(), default=plain, indent=1))
"""


async def _write_runs(stack: MixedStack, old: Version, http: httpx.AsyncClient, redis: Any) -> dict[str, Followed]:
    """Leave runs in every state; the worker is dead in the end."""
    cast = Cast("kept", stack, redis, follow=lambda run: None)
    (modem,), (gateway,) = await asyncio.gather(stack.add_modems(old, 1), stack.add_gateways(old, 1))
    person = Person(http, gateway.url)
    runs = await _ended(cast, person, stack.redis_url)
    runs["question"] = await cast.begin(person, Pause.QUESTION)
    runs["approval"] = await cast.begin(person, Pause.APPROVAL)
    runs["answered"] = await cast.begin(person, Pause.QUESTION)
    runs["speaking"] = await cast.begin(person, Pause.GATE)
    runs["behind"] = await person.queue(runs["speaking"], cast.script())
    runs["working"] = await cast.begin(person, Pause.COMMAND)
    await modem.process.kill_for_good()
    await person.steer(runs["speaking"], "kept, steered")
    await person.answer(runs["answered"], "kept, green")
    runs["pending"] = await person.begin(cast.script())
    runs["legacy pending"] = publish_legacy(stack.redis_url, cast.script())
    await gateway.process.stop()
    cast.open_gates()  # the command has outlived its worker
    return runs


async def _ended(cast: Cast, person: Person, redis_url: str) -> dict[str, Followed]:
    thread = {"metadata": {"team": "tea", "size": 3}, "context": {"likes": ["green", "black"]}}
    task = {
        "context_data": [{"type": "text", "content": "with milk", "source": "note"}],
        "parameters": {"max_steps": 20, "mood": "calm"},
        "user_uuid": "user-1",
    }
    runs = {
        "completed": await person.begin(cast.script(), thread=thread, task=task),
        "limited": await person.begin(cast.script(), task={"parameters": {"max_steps": 1}}),
        "legacy completed": publish_legacy(redis_url, cast.script()),
        "cancelled": await cast.begin(person, Pause.GATE, RunStatus.CANCELLED),
    }
    await person.cancel(runs["cancelled"])
    for run in runs.values():
        await cast.until_it_ends(run)
    return runs


async def _write_queued(stack: MixedStack, old: Version, http: httpx.AsyncClient, redis: Any) -> Followed:
    """Leave one run whose job is in RabbitMQ."""
    (gateway,) = await stack.add_gateways(old, 1)
    run = await Person(http, gateway.url).begin(Cast("queued", stack, redis, follow=lambda run: None).script())
    await gateway.process.stop()
    return run


async def _lines(redis: Any) -> list[str]:
    lines = []
    for key in sorted([key async for key in redis.scan_iter(count=1000)]):
        kind = await redis.type(key)
        lines.append(
            json.dumps({"key": key, "type": kind, "value": await _value(redis, key, kind)}, ensure_ascii=False)
        )
    return lines


async def _value(redis: Any, key: str, kind: str) -> object:
    match kind:
        case "hash":
            return await redis.hgetall(key)
        case "list":
            return await redis.lrange(key, 0, -1)
        case "stream":
            return await redis.xrange(key)
        case "zset":
            return await redis.zrange(key, 0, -1, withscores=True)
        case "set":
            return sorted(await redis.smembers(key))
        case _:
            return await redis.get(key)


def _message(url: str) -> Mapping[str, object]:
    """Take the one message out of the queue of RabbitMQ."""
    host = url.removeprefix("amqp://guest:guest@").partition("/")
    with amqp.Connection(host=host[0], userid="guest", password="guest", virtual_host="/") as connection:
        message = connection.channel().basic_get("celery", no_ack=True)
    assert message is not None, "the gateway published nothing"
    properties = {name: value for name, value in message.properties.items() if name != "application_headers"}
    return {"properties": properties, "headers": message.headers, "body": message.body}


def _ids(runs: Mapping[str, Followed]) -> str:
    ids = {name: {"thread_id": run.thread_id, "run_id": run.run_id} for name, run in runs.items()}
    return json.dumps(ids, indent=1)


def _write(file: Path, lines: Iterable[str]) -> None:
    file.write_text("".join(f"{line}\n" for line in lines))


def _workspace_files(stack: MixedStack, runs: Mapping[str, Followed]) -> Iterator[tuple[Path, str]]:
    for run in runs.values():
        root = stack.workspace(run.thread_id)
        for file in (each for each in root.rglob("*") if each.is_file()):
            yield file, f"{run.thread_id}/workspace/{file.relative_to(root)}"


async def write_samples(checkout: Checkout, target: Path, folder: Path) -> None:
    """Write them all into a folder that holds a config.toml."""
    old = Version("old", checkout)
    async with httpx.AsyncClient(trust_env=False, timeout=TIME_LIMITS) as http:
        async with MixedStack(folder / "redis", _SETTINGS) as stack, _opened(stack) as redis:
            runs = await _write_runs(stack, old, http, redis)
            lines = await _lines(redis)
            _write(target / "redis.jsonl", (line.replace(str(stack.folder), _FOLDER) for line in lines))
            _write(target / "runs.json", [_ids(runs)])
            for file, name in _workspace_files(stack, runs):
                (target / "workspace" / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, target / "workspace" / name)
        rabbit = RabbitProcess(folder)
        try:
            rabbit.start()
            settings = {"BAUD_MODEM__BROKER_URL": rabbit.url()}
            async with MixedStack(folder / "rabbit", settings) as stack, _opened(stack) as redis:
                queued = await _write_queued(stack, old, http, redis)
                _write(target / "queued.jsonl", await _lines(redis))
            message = {"run_id": queued.run_id, "thread_id": queued.thread_id, **_message(rabbit.url())}
            _write(target / "rabbitmq.json", [json.dumps(message, indent=1)])
        finally:
            rabbit.stop()
    read = checkout.call(checkout.python, "-c", _DUMP_SETTINGS.replace("FOLDER", repr(str(target))))
    (target / "settings.json").write_text(read.stdout)


def _opened(stack: MixedStack) -> "Redis":
    return Redis.from_url(stack.redis_url, decode_responses=True)


def main(ref: str) -> None:
    """Replace the samples of a commit."""
    target = ROOT / "tests" / "data" / ref
    shutil.rmtree(target / "workspace", ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder, other_commit(ref, lock="requirements.lock") as checkout:
        for name in ("redis", "rabbit"):
            (Path(folder) / name).mkdir()
        asyncio.run(write_samples(checkout, target, Path(folder)))


if __name__ == "__main__":
    main(sys.argv[1])
