"""What 46a4c39 wrote, kept in tests/data to be read by today's code; tests/upgrade/write_samples.py made it."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from redis import Redis
from redis.client import Pipeline

from shared.contract.run import RunJob
from shared.keys import OPEN_RUNS_INDEX

FOLDER: Final = Path(__file__).parent / "data" / "46a4c39"
WORKSPACES: Final = FOLDER / "workspace"
_SECONDS: Final = 3600  # the time to live of what is loaded and has one
_QUESTIONS_END_MS: Final = 4e12  # the kept questions stay open for a hundred years


def kept_runs() -> dict[str, RunJob]:
    """Return the runs of `redis.jsonl` by the state in which they were left."""
    ids = json.loads((FOLDER / "runs.json").read_text())
    return {name: RunJob.model_validate(each) for name, each in ids.items()}


def kept_keys(file_name: str) -> dict[str, Any]:
    """Return the values of a file by their keys, as redis-py gives them."""
    return {each["key"]: each["value"] for each in _lines(file_name)}


def load_kept(redis: "Redis", file_name: str) -> None:
    """Write the keys of a file into Redis as they were, with leases that are over and checks that are due."""
    pipe = redis.pipeline()
    for each in _lines(file_name):
        key = each["key"]
        _WRITERS[each["type"]](pipe, key, _when_all_is_due(key, each["value"]))
        if key.startswith(("thread:", "run:", "stream:")):
            pipe.expire(key, _SECONDS)
    pipe.execute()


def _when_all_is_due(key: str, value: Any) -> Any:
    """The times that were near are past, whatever the clock of this machine says."""
    if key == OPEN_RUNS_INDEX:
        return [(member, 0 if score < _QUESTIONS_END_MS else score) for member, score in value]
    return {**value, "lease_until": "0"} if isinstance(value, dict) and "lease_until" in value else value


def _write_stream(pipe: Pipeline, key: str, entries: Any) -> None:
    for entry_id, fields in entries:
        pipe.xadd(key, fields, id=entry_id)


_WRITERS: Final[Mapping[str, Callable[[Pipeline, str, Any], object]]] = {
    "string": lambda pipe, key, value: pipe.set(key, value),
    "hash": lambda pipe, key, value: pipe.hset(key, mapping=value),
    "list": lambda pipe, key, value: pipe.rpush(key, *value),
    "set": lambda pipe, key, value: pipe.sadd(key, *value),
    "zset": lambda pipe, key, value: pipe.zadd(key, dict(value)),
    "stream": _write_stream,
}


def _lines(file_name: str) -> Iterator[dict[str, Any]]:
    return map(json.loads, (FOLDER / file_name).read_text().splitlines())
