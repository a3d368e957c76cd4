"""A Redis server of the tests' own: started on a free port, stopped, paused and started again at will."""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from redis import Redis
from redis.exceptions import RedisError

from baud.stack.embedded_redis import find_binary
from baud.stack.network import claim_port

_LIMIT_SECONDS = 10.0

_KEEP_ALL = ("--appendonly", "yes", "--appendfsync", "always")


def free_port() -> int:
    """Return a port that nothing listens on now."""
    return claim_port("127.0.0.1", 0)


class RedisProcess:
    """One valkey-server; with a folder it logs every command there, and restores its data when started again.

    `options` are further lines of its configuration, such as ("--replicaof", "127.0.0.1", "6379").
    """

    def __init__(
        self,
        port: int | None = None,
        *,
        folder: Path | None = None,
        password: str = "",
        options: Sequence[str] = (),
    ) -> None:
        self.port = port or free_port()
        user_info = f":{quote(password, safe='')}@" if password else ""
        self.url = f"redis://{user_info}127.0.0.1:{self.port}/0"
        self.options = [*(("--requirepass", password, "--masterauth", password) if password else ()), *options]
        self._storage = ["--dir", str(folder), *_KEEP_ALL] if folder else ["--dir", "/tmp"]
        self._program = find_binary()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        argv = [self._program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", *self._storage]
        argv += self.options
        self._process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _wait_until_it_answers(self.url)

    def stop(self) -> None:
        if self._process is not None:
            self.resume()
            self._process.kill()
            self._process.wait()
            self._process = None

    def terminate(self) -> None:
        """End it as an operator does: with SIGTERM, so that nothing written is lost."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(_LIMIT_SECONDS)

    def pause(self) -> None:
        """Let it hang: connections stay open, nothing is answered."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)


def _wait_until_it_answers(url: str) -> None:
    deadline = time.monotonic() + _LIMIT_SECONDS
    with Redis.from_url(url) as redis:
        while True:
            try:
                redis.ping()
            except RedisError:
                assert time.monotonic() < deadline, "the server does not answer"
            else:
                return
