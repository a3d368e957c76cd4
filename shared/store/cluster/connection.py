"""The connection to a Redis Cluster: scripts are run where their keys are."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from shared.config import RedisConfig
from shared.errors import StoreUnavailableError, UnreadableRecordError
from shared.keys import ThreadKeys
from shared.store.cluster.check import check_nodes
from shared.store.cluster.client import ClusterRedis, NodeCommand
from shared.store.cluster.notifications import AnyNodeNotifications, ClusterNotifications
from shared.store.redis.errors import redis_errors
from shared.store.redis.scripts import Argument, ScriptCall, load_scripts, read_scripts
from shared.store.redis.stream_read_connection import RawEntry

# Notifies on the node that has the thread only; PUBLISH would reach every node.
_PUBLISH_COMMAND: Final = "SPUBLISH"


class ClusterConnection:
    """One process's clients of all nodes, with the scripts; the stores share it, as a StoreConnection."""

    def __init__(self, redis: ClusterRedis) -> None:
        self.redis = redis
        self._scripts = read_scripts(_PUBLISH_COMMAND)

    def keys(self, thread_id: str) -> ThreadKeys:
        """Return the key names of a thread, which share a slot."""
        return ThreadKeys(thread_id, is_hash_tagged=True)

    async def call(self, script: str, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """Run a script of ours where its keys are; raises StoreUnavailableError."""
        [answer] = await self.call_each([ScriptCall(script, keys, arguments)])
        if isinstance(answer, StoreUnavailableError | UnreadableRecordError):
            raise answer
        return answer

    async def call_many(self, calls: Sequence[ScriptCall]) -> list[Any]:
        """Run several scripts one after the other, since the next may be on another node."""
        answers = []
        for call in calls:
            [answer] = await self.call_each([call])
            if isinstance(answer, UnreadableRecordError) or (
                isinstance(answer, StoreUnavailableError) and call.is_needed
            ):
                raise answer
            answers.append(answer)
        return answers

    async def call_each(self, calls: Sequence[ScriptCall]) -> list[Any]:
        """Run scripts on all nodes at once; where a node cannot be used, the answer is a StoreUnavailableError."""
        with redis_errors():
            answers = await self.redis.send([self._command("EVALSHA", call) for call in calls])
            unknown = [index for index, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
            if unknown:
                again = await self.redis.send([self._command("EVAL", calls[index]) for index in unknown])
                for index, answer in zip(unknown, again, strict=True):
                    answers[index] = answer
        return [_translate(answer) for answer in answers]

    async def read_after(
        self, positions: Mapping[str, str], *, limit: int
    ) -> Sequence[tuple[bytes, Sequence[RawEntry]]]:
        """Return the entries after each stream's position, whichever nodes have them."""
        found: Sequence[tuple[bytes, Sequence[RawEntry]]] = await self.redis.xread(positions, count=limit)
        return found

    async def load_scripts(self) -> None:
        """Load all scripts into every master, so that the first calls need not; raises StoreUnavailableError."""
        with redis_errors():
            for redis in await self.servers():
                await load_scripts(redis, self._scripts.values())

    async def servers(self) -> Sequence[Redis]:
        """Return a client for each master; raises StoreUnavailableError."""
        return await self.redis.masters()

    def node_of(self, key: str) -> str:
        """Return the name of the node that has the key, as far as is known."""
        try:
            host, port = self.redis.map.owner(key)
        except StoreUnavailableError:
            return ""
        return f"{host}:{port}"

    def thread_notifications(self) -> ClusterNotifications:
        """Return what opens subscriptions to all nodes."""
        return ClusterNotifications(self.redis.map)

    def worker_notifications(self) -> AnyNodeNotifications:
        """Return what opens subscriptions to one node: what a worker is sent by PUBLISH reaches all."""
        return AnyNodeNotifications(self.redis)

    async def check(self) -> None:
        """Raise ConfigurationError if a node that answers cannot serve."""
        await check_nodes(self.redis)

    async def aclose(self) -> None:
        """Close the connections to all nodes."""
        await self.redis.aclose()

    def _command(self, name: str, call: ScriptCall) -> NodeCommand:
        script = self._scripts[call.script]
        text = script.sha if name == "EVALSHA" else script.text
        return NodeCommand(call.keys[0], (name, text, len(call.keys), *call.keys, *call.arguments))


def open_cluster(config: RedisConfig, *, retries: int) -> ClusterConnection:
    """Return the connection to the cluster with the node that the URL names; nothing is connected yet."""
    return ClusterConnection(ClusterRedis(config, retries=retries))


def _translate(answer: Any) -> Any:
    """Return the answer; an error of Redis becomes ours, or is raised when it is a bug."""
    if not isinstance(answer, Exception):
        return answer
    try:
        with redis_errors():
            raise answer
    except (StoreUnavailableError, UnreadableRecordError) as error:
        return error
