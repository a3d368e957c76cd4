"""A client for a Redis Cluster: each command is sent to the node that has its key, and redirected when the key moves.

Commands of several nodes are sent to all at once, in order on each, and a node that fails fails only its own.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

from redis.asyncio import Redis
from redis.commands import AsyncCoreCommands
from redis.exceptions import AskError, ClusterDownError, MovedError, RedisError, ResponseError, TryAgainError

from shared.config import RedisConfig
from shared.errors import StoreUnavailableError
from shared.store.cluster.node_map import Address, ClusterMap
from shared.store.redis.errors import refusal

# Pauses between tries while a slot moves or the cluster elects a master: about a second in all.
_PAUSES: Final = (0.0, 0.05, 0.1, 0.2, 0.4, 0.4)
_REDIRECTIONS: Final = (AskError, TryAgainError, ClusterDownError)
_SCRIPT_COMMANDS: Final = ("EVAL", "EVALSHA")
_FIRST_SCRIPT_KEY: Final = 3  # after the command, the script and the number of its keys


@dataclass(frozen=True, slots=True)
class NodeCommand:
    """One command as redis-py builds it; `key` says where it goes."""

    key: str
    arguments: tuple[Any, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


class ClusterRedis(AsyncCoreCommands):
    """Has the methods of redis-py's client for commands with a key; all keys of one command must share a slot."""

    _event_dispatcher: Any = None  # of redis-py's own connections

    def __init__(self, config: RedisConfig, *, retries: int) -> None:
        self.map = ClusterMap(config, retries=retries)

    async def execute_command(self, *arguments: Any, **options: Any) -> Any:
        """Run one command where its key is."""
        [answer] = await self.send([_command(arguments, options)])
        raise_first([answer])
        return answer

    def pipeline(self, transaction: bool = False) -> "ClusterPipeline":
        """Return a collector of commands; with `transaction` all must have keys of one slot."""
        return ClusterPipeline(self, transaction=transaction)

    async def xread(  # type: ignore[override]  # only as the store calls it
        self, streams: Mapping[str, str], count: int
    ) -> Any:
        """Read new entries of streams in any slots, each by a command of its own; entries as Redis sends them."""
        answers = await self.send(
            [
                NodeCommand(stream, (b"XREAD", "COUNT", count, "STREAMS", stream, position))
                for stream, position in streams.items()
            ]
        )
        raise_first(answers)
        # RESP3 and RESP2; None where nothing is new
        return list(chain.from_iterable(each.items() if isinstance(each, dict) else each or () for each in answers))

    async def masters(self) -> list[Redis]:
        """Return a client for each master, for what has no key."""
        await self.map.load()
        return [self.map.client(address) for address in self.map.masters()]

    async def aclose(self) -> None:
        """Close the connections to all nodes."""
        await self.map.aclose()

    async def send(self, commands: Sequence[NodeCommand], *, transaction: bool = False) -> list[Any]:
        """Run commands on their nodes at once; the answer of one that failed is its error.

        A slot that goes on moving, or has no master for too long, is a StoreUnavailableError.
        """
        await self.map.load()
        answers: list[Any] = [None] * len(commands)
        left: Sequence[int] = range(len(commands))
        for pause in _PAUSES:
            await asyncio.sleep(pause)
            sending = _Sending(self.map, commands, answers, transaction)
            await asyncio.gather(*(sending.ask(address, group) for address, group in sending.group(left).items()))
            left = [index for index in left if isinstance(answers[index], _REDIRECTIONS)]
            if not left:
                return answers
        for index in left:
            answers[index] = refusal(answers[index])
        return answers


@dataclass(frozen=True, slots=True)
class _Sending:
    """One try of commands, whose answers it fills in."""

    map: ClusterMap
    commands: Sequence[NodeCommand]
    answers: list[Any]
    transaction: bool

    def group(self, indexes: Sequence[int]) -> Mapping[Address, Sequence[int]]:
        groups: dict[Address, list[int]] = {}
        for index in indexes:
            try:
                groups.setdefault(self.map.owner(self.commands[index].key), []).append(index)
            except StoreUnavailableError as error:
                self.answers[index] = error
        return groups

    async def ask(self, address: Address, indexes: Sequence[int]) -> None:
        found = await self._run(address, [self.commands[index] for index in indexes])
        for index, answer in zip(indexes, found, strict=True):
            self.answers[index] = answer
            if isinstance(answer, MovedError):
                self.map.note_moved(answer, reported_by=address)
            elif isinstance(answer, AskError) and not self.transaction:
                importing = (answer.host or address[0], answer.port)
                [self.answers[index]] = await self._run(importing, [self.commands[index]], is_asking=True)

    async def _run(self, address: Address, commands: Sequence[NodeCommand], *, is_asking: bool = False) -> list[Any]:
        client: Any = self.map.client(address)  # redis-py leaves it untyped
        try:
            if len(commands) == 1 and not (self.transaction or is_asking):
                return [await client.execute_command(*commands[0].arguments, **commands[0].options)]
            pipe = client.pipeline(transaction=self.transaction)
            if is_asking:
                pipe.execute_command("ASKING")
            for command in commands:
                pipe.execute_command(*command.arguments, **command.options)
            return list(await pipe.execute(raise_on_error=False))[int(is_asking) :]
        except (RedisError, OSError, RuntimeError) as error:
            if not isinstance(error, ResponseError):
                self.map.refresh_soon()
            return [error] * len(commands)


class ClusterPipeline(AsyncCoreCommands):
    """Collects commands and sends them together."""

    _event_dispatcher: Any = None  # of redis-py's own connections

    def __init__(self, client: ClusterRedis, *, transaction: bool) -> None:
        self._client = client
        self._transaction = transaction
        self._commands: list[NodeCommand] = []

    def execute_command(self, *arguments: Any, **options: Any) -> "ClusterPipeline":
        """Collect a command."""
        self._commands.append(_command(arguments, options))
        return self

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Send what was collected; raises the first failure, if any, unless failures are wanted among the answers."""
        answers = await self._client.send(self._commands, transaction=self._transaction)
        if raise_on_error:
            raise_first(answers)
        return answers


def raise_first(answers: Sequence[Any]) -> None:
    """Raise the first error among the answers."""
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer


def _command(arguments: tuple[Any, ...], options: Mapping[str, Any]) -> NodeCommand:
    key = arguments[_FIRST_SCRIPT_KEY if arguments[0] in _SCRIPT_COMMANDS else 1]
    return NodeCommand(key.decode() if isinstance(key, bytes) else str(key), arguments, options)
