"""The Lua scripts of the store: their texts, and calls of them."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

Argument = str | bytes | int | float


@dataclass(frozen=True, slots=True)
class LuaScript:
    """A script as Redis gets it, and the name under which Redis keeps it."""

    text: bytes
    sha: str


@dataclass(frozen=True, slots=True)
class ScriptCall:
    """One call of a script; one that is not `is_needed` may fail where only the server of its keys cannot be used."""

    script: str
    keys: Sequence[str]
    arguments: Sequence[Argument]
    is_needed: bool = True


def read_scripts(publish_command: str) -> Mapping[str, LuaScript]:
    """Return each script by its name, with the functions of the library; `publish_command` notifies a channel."""
    folder = resources.files("shared.store") / "lua"
    library = f"local PUBLISH_COMMAND = '{publish_command}'\n" + (folder / "_library.lua").read_text()
    return {
        file.name.removesuffix(".lua"): _script((library + file.read_text()).encode())
        for file in folder.iterdir()
        if file.name.endswith(".lua") and not file.name.startswith("_")
    }


async def load_scripts(redis: Any, scripts: Iterable[LuaScript]) -> None:  # redis-py leaves the pipeline untyped
    """Load scripts into one Redis server; raises RedisError, OSError."""
    pipe = redis.pipeline(transaction=False)
    for script in scripts:
        pipe.script_load(script.text)
    await pipe.execute()


def _script(text: bytes) -> LuaScript:
    return LuaScript(text, hashlib.sha1(text, usedforsecurity=False).hexdigest())
