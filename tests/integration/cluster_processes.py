"""A Redis Cluster of the tests' own: three masters on free ports, each killed, paused and started again at will."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from redis import Redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import RedisError

from tests.e2e.service_process import wait_until
from tests.integration.redis_process import RedisProcess, free_port

_MASTERS: Final = 3
_LIMIT_SECONDS: Final = 60.0
# Killed nodes are started again long before the others would call them failed.
_NODE_TIMEOUT_MILLISECONDS: Final = 15_000


class ClusterProcesses:
    """A context manager that ends all its processes; `url` names one node."""

    def __init__(self, folder: Path, *, node_timeout_ms: int = _NODE_TIMEOUT_MILLISECONDS, password: str = "") -> None:
        self._folder, self._password = folder, password
        self._options = (
            "--cluster-enabled", "yes",
            "--cluster-require-full-coverage", "no",
            "--cluster-node-timeout", str(node_timeout_ms),
        )  # fmt: skip
        self.nodes = [self._make(f"node-{number}") for number in range(_MASTERS)]
        self._replicas: list[RedisProcess] = []
        self.url = self.nodes[0].url

    def __enter__(self) -> Self:
        try:
            for node in self.nodes:
                node.start()
            self._join()
            self.wait_until_complete()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def node_of(self, key: str) -> RedisProcess:
        """Return the node that was given the slot of a key at the start."""
        return self.nodes[key_slot(key.encode()) * _MASTERS // REDIS_CLUSTER_HASH_SLOTS]

    def wait_until_complete(self) -> None:
        """Return once every node serves and knows all others and all slots."""
        known = len(self.nodes) + len(self._replicas)
        for node in self.nodes:
            wait_until(partial(_is_complete, node, known), f"{node.port} is part of a complete cluster", _LIMIT_SECONDS)

    def add_replica(self, master: RedisProcess) -> None:
        """Start a replica that takes over when the master is gone; return once it is in sync."""
        replica = self._make("replica")
        self._replicas.append(replica)
        replica.start()
        with Redis.from_url(replica.url) as redis, Redis.from_url(master.url) as followed:
            _meet(redis, master)
            master_id = str(_call(followed, "CLUSTER", "MYID"), "ascii")
            wait_until(lambda: _follows(redis, master_id), "the replica knows its master", _LIMIT_SECONDS)
            wait_until(lambda: _is_in_step(redis), "the replica is in step", _LIMIT_SECONDS)
        self.wait_until_complete()

    def wait_for_replica(self, master: RedisProcess, key: str) -> None:
        """Return once the replica has all that the master has; writes a key of the master's, and removes it."""
        with Redis.from_url(master.url) as redis:
            redis.set(key, "")
            redis.delete(key)
            assert redis.wait(1, int(_LIMIT_SECONDS * 1000)) == 1

    def empty(self) -> None:
        """Remove all keys."""
        for node in self.nodes:
            with Redis.from_url(node.url) as redis:
                redis.flushall()

    @contextmanager
    def clients(self) -> Iterator[Sequence[Any]]:
        """Yield a client of each node."""
        opened = [Redis.from_url(node.url) for node in self.nodes]
        try:
            yield opened
        finally:
            for client in opened:
                client.close()

    def give_slot(self, key: str, taker: RedisProcess, *, giver: RedisProcess | None = None) -> None:
        """Move the slot of a key, and the keys that it holds, to another node."""
        slot, giver = key_slot(key.encode()), giver or self.node_of(key)
        with Redis.from_url(giver.url) as source, Redis.from_url(taker.url) as target:
            taker_id = _begin_move(slot, source, target)
            while keys := _call(source, "CLUSTER", "GETKEYSINSLOT", slot, 100):
                _call(source, "MIGRATE", "127.0.0.1", taker.port, "", 0, 5000, "KEYS", *keys)
            for node in (target, source):
                _call(node, "CLUSTER", "SETSLOT", slot, "NODE", taker_id)

    @contextmanager
    def half_moved(self, key: str, taker: RedisProcess) -> Iterator[None]:
        """Have the slot of a key move for as long as the block lasts, without any of its keys; then it stays."""
        slot = key_slot(key.encode())
        with Redis.from_url(self.node_of(key).url) as source, Redis.from_url(taker.url) as target:
            _begin_move(slot, source, target)
            try:
                yield
            finally:
                for node in (target, source):
                    _call(node, "CLUSTER", "SETSLOT", slot, "STABLE")

    def _make(self, name: str) -> RedisProcess:
        folder = self._folder / name
        folder.mkdir()
        options = (*self._options, "--cluster-port", str(free_port()))
        return RedisProcess(folder=folder, options=options, password=self._password)

    def _join(self) -> None:
        with self.clients() as clients:
            for number, client in enumerate(clients):
                first = -(-number * REDIS_CLUSTER_HASH_SLOTS // _MASTERS)
                last = -(-(number + 1) * REDIS_CLUSTER_HASH_SLOTS // _MASTERS) - 1
                _call(client, "CLUSTER", "ADDSLOTSRANGE", first, last)
                _call(client, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            for node in self.nodes[1:]:
                _meet(clients[0], node)

    def _stop(self) -> None:
        for node in (*self._replicas, *self.nodes):
            node.stop()


def _begin_move(slot: int, source: Any, target: Any) -> str:
    """Announce to both nodes that a slot moves; return the id of its new node."""
    giver_id, taker_id = (str(_call(node, "CLUSTER", "MYID"), "ascii") for node in (source, target))
    _call(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", giver_id)
    _call(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", taker_id)
    return taker_id


def _meet(redis: Any, node: RedisProcess) -> None:
    bus_port = node.options[node.options.index("--cluster-port") + 1]
    _call(redis, "CLUSTER", "MEET", "127.0.0.1", node.port, bus_port)


def _follows(replica: Any, master_id: str) -> bool:
    """Make it a replica of the master, which it has to have met before."""
    try:
        _call(replica, "CLUSTER", "REPLICATE", master_id)
    except RedisError:
        return False
    return True


def _is_in_step(replica: Any) -> bool:
    return bool(replica.info("replication").get("master_link_status") == "up")


def _is_complete(node: RedisProcess, known: int) -> bool:
    with Redis.from_url(node.url) as redis:
        try:
            info = str(_call(redis, "CLUSTER", "INFO"), "ascii")
            links = _call(redis, "CLUSTER", "LINKS")
        except RedisError:
            return False
    # One link to each other node and one from it: nodes forward published messages over these.
    return len(links) >= 2 * (known - 1) and all(
        line in info.split()
        for line in (
            "cluster_state:ok",
            f"cluster_known_nodes:{known}",
            f"cluster_slots_ok:{REDIS_CLUSTER_HASH_SLOTS}",
        )
    )


def _call(redis: Any, *command: object) -> Any:
    # As one word, the name would have redis-py parse the answer.
    return redis.execute_command(*command)
