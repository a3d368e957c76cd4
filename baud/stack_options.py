"""The options of a local stack: data that commands make and `baud.stack` carries out, where that is installed."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

DEFAULT_DATA_DIR = Path("data")


@dataclass(frozen=True, slots=True)
class StackCommands:
    """What is started. Redis reads its configuration from standard input; the gateway is given --host and --port.

    With -P a user's folder named gateway is not imported instead of ours.
    """

    redis: tuple[str, ...] = ()  # empty: the binary that is found
    gateway: tuple[str, ...] = (sys.executable, "-P", "-m", "gateway")
    modem: tuple[str, ...] = (sys.executable, "-P", "-m", "modem")


@dataclass(frozen=True, slots=True)
class StackOptions:
    """How a local stack is started. `redis_url` empty: an embedded Redis; `port` 0: a free one.

    Without workers no run is executed, but stored data can be read.
    """

    data_dir: Path = DEFAULT_DATA_DIR
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    model: str = ""
    redis_url: str = ""
    start_seconds: float = 60.0
    commands: StackCommands = field(default_factory=StackCommands)


def redis_url_from(env: Mapping[str, str]) -> str:
    """Return the Redis that the environment names, or an empty text."""
    return env.get("BAUD_REDIS__URL") or env.get("REDIS_URL") or ""
