"""The connection to a Redis Cluster: scripts are run where their keys are."""

from collections.abc import Mapping, Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from shared.config import RedisConfig
from shared.errors import StoreUnavailableError, UnreadableRecordError
from shared.store.cluster.client import ClusterRedis, NodeCommand
from shared.store.redis.connection import RETRIES, Argument, Connection, ScriptCall, open_redis, redis_errors
from shared.store.redis.stream_read_connection import RawEntry


class ClusterConnection(Connection):
    """One process's clients of all nodes, with the scripts; the stores share it."""

    def __init__(self, redis: ClusterRedis) -> None:
        super().__init__(redis, cluster=True)
        self.cluster = redis

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
            answers = await self.cluster.send([self._command("EVALSHA", call) for call in calls])
            unknown = [index for index, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
            if unknown:
                again = await self.cluster.send([self._command("EVAL", calls[index]) for index in unknown])
                for index, answer in zip(unknown, again, strict=True):
                    answers[index] = answer
        return [_translate(answer) for answer in answers]

    async def read_after(
        self, positions: Mapping[str, str], *, limit: int
    ) -> Sequence[tuple[bytes, Sequence[RawEntry]]]:
        """Return the entries after each stream's position, whichever nodes have them."""
        found: Sequence[tuple[bytes, Sequence[RawEntry]]] = await self.cluster.xread(positions, count=limit)
        return found

    async def servers(self) -> list[Redis]:
        """Return a client for each master; raises StoreUnavailableError."""
        return await self.cluster.masters()

    def node_of(self, key: str) -> str:
        """Return the name of the node that has the key, as far as is known."""
        try:
            host, port = self.cluster.map.owner(key)
        except StoreUnavailableError:
            return ""
        return f"{host}:{port}"

    def _command(self, name: str, call: ScriptCall) -> NodeCommand:
        script = self._scripts[call.script]
        text = script.sha if name == "EVALSHA" else script.script
        return NodeCommand(call.keys[0], (name, text, len(call.keys), *call.keys, *call.arguments))


def open_connection(config: RedisConfig, *, retries: int = RETRIES) -> Connection:
    """Return the connection that the configuration asks for; nothing is connected yet. The caller closes it."""
    if config.cluster:
        return ClusterConnection(ClusterRedis(config, retries=retries))
    return Connection(open_redis(config, retries=retries))


def _translate(answer: Any) -> Any:
    """Return the answer; an error of Redis becomes ours, or is raised when it is a bug."""
    if not isinstance(answer, Exception):
        return answer
    try:
        with redis_errors():
            raise answer
    except (StoreUnavailableError, UnreadableRecordError) as error:
        return error
