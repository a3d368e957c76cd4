"""A master, its replica and the Sentinels that watch them: real processes on free ports, killed and paused at will."""

import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from redis.sentinel import Sentinel

from baud.stack.embedded_redis import find_binary
from tests.e2e.service_process import wait_until
from tests.integration.redis_process import RedisProcess, free_port

MASTER_NAME: Final = "main"
PASSWORD: Final = "master/p@ss:1"
SENTINEL_PASSWORD: Final = "sentinel/p@ss:2"
# As short as a busy machine allows: a master that gets no CPU time for so long is demoted.
_DOWN_AFTER_MILLISECONDS: Final = 1500
_LIMIT_SECONDS: Final = 30.0
_SENTINELS: Final = 3


class SentinelGroup:
    """A context manager that ends all its processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        master = RedisProcess(password=PASSWORD)
        replica = RedisProcess(password=PASSWORD, options=("--replicaof", "127.0.0.1", str(master.port)))
        self._servers = {server.port: server for server in (master, replica)}
        self._first_master = master.port
        self._ports = [free_port() for _ in range(_SENTINELS)]
        self._sentinels: list[subprocess.Popen[bytes]] = []
        hosts = ",".join(f"127.0.0.1:{port}" for port in self._ports)
        options = f"sentinel_password={quote(SENTINEL_PASSWORD, safe='')}"
        self.url = f"redis+sentinel://:{quote(PASSWORD, safe='')}@{hosts}/{MASTER_NAME}/1?{options}"
        sentinel: Any = Sentinel  # redis-py leaves it untyped
        self._asked = sentinel(
            [("127.0.0.1", port) for port in self._ports],
            sentinel_kwargs={"password": SENTINEL_PASSWORD, "socket_timeout": 1.0, "retry": Retry(NoBackoff(), 0)},
        )
        self.redis: Redis = self._asked.master_for(MASTER_NAME, password=PASSWORD, db=1, decode_responses=True)

    def __enter__(self) -> Self:
        try:
            for server in self._servers.values():
                server.start()
            self._sentinels = [self._start_sentinel(port) for port in self._ports]
            wait_until(self._is_watched, "the Sentinels know each other and the replica", _LIMIT_SECONDS)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def master(self) -> RedisProcess:
        """Return the server that the Sentinels call the master."""
        _, port = self._asked.discover_master(MASTER_NAME)
        return self._servers[port]

    def wait_for_replica(self) -> None:
        """Return once the replica has all that was written: the rest would be lost with the master."""
        assert self.redis.wait(1, int(_LIMIT_SECONDS * 1000)) == 1

    def kill_master(self) -> None:
        """End the master at once, as soon as its replica has all that was written."""
        self.wait_for_replica()
        self.master().stop()

    def wait_for_other_master(self, old: RedisProcess) -> RedisProcess:
        """Return the new master once the Sentinels have agreed on it."""
        wait_until(lambda: self._has_other_master(old), "there is a new master", _LIMIT_SECONDS)
        return self.master()

    def _has_other_master(self, old: RedisProcess) -> bool:
        try:
            return self.master() is not old and self._replication()["role"] == "master"
        except RedisError:
            return False

    def _is_watched(self) -> bool:
        for sentinel in self._asked.sentinels:
            try:
                state = sentinel.sentinel_master(MASTER_NAME)
                replicas = sentinel.sentinel_slaves(MASTER_NAME)
            except RedisError:
                return False
            if state["num-other-sentinels"] < _SENTINELS - 1 or not self._asked.filter_slaves(replicas):
                return False
        return bool(self._replication()["connected_slaves"])

    def _replication(self) -> Any:
        return self.redis.info("replication")

    def _start_sentinel(self, port: int) -> "subprocess.Popen[bytes]":
        configuration = self._folder / f"sentinel-{port}.conf"
        configuration.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {self._folder}\n"
            f'requirepass "{SENTINEL_PASSWORD}"\n'
            f"sentinel monitor {MASTER_NAME} 127.0.0.1 {self._first_master} 2\n"
            f'sentinel auth-pass {MASTER_NAME} "{PASSWORD}"\n'
            f"sentinel down-after-milliseconds {MASTER_NAME} {_DOWN_AFTER_MILLISECONDS}\n"
            f"sentinel failover-timeout {MASTER_NAME} 5000\n"
        )
        argv = [find_binary(), str(configuration), "--sentinel"]
        return subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _stop(self) -> None:
        for process in self._sentinels:
            process.kill()
            process.wait()
        for server in self._servers.values():
            server.stop()
        self.redis.close()
        for sentinel in self._asked.sentinels:
            sentinel.close()
