"""What is left after the chaos: the log and the record of every accepted run, its effects on disk, and Redis's keys."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Protocol

from redis.asyncio import Redis

from shared.contract.event import AgentExecuteData, ExecuteState, ExecuteType
from shared.contract.run import RunStatus
from shared.ids import parse_stream_id
from tests.chaos.run_client import Followed
from tests.chaos.scripted_worker_model import EFFECTS_FILE, MODEL_CALLS_FILE
from tests.event_data import read_data

_TAG: Final = re.compile(r"<(\d+\.Task-\d+)>")
_WORD: Final = re.compile(r" word (\d+) ")
_TEXT: Final = (ExecuteType.ASSISTANT_DELTA, ExecuteType.ASSISTANT_RESPONSE)
_EFFECT: Final = re.compile(r"echo '\S+ (\S+)'")
_BASH: Final = "tool_bash"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the log."""

    id: str
    raw: str
    data: AgentExecuteData

    @property
    def tags(self) -> set[str]:
        """The attempts whose text this is."""
        return set(_TAG.findall(self.raw)) if self.data.execute_type in _TEXT else set()

    @property
    def words(self) -> list[int]:
        """The numbers of the words of this text."""
        return [int(word) for word in _WORD.findall(self.raw)]

    @property
    def is_resumed(self) -> bool:
        """Whether another attempt announces itself here."""
        return self.data.execute_type == ExecuteType.STATUS and '"status":"resumed"' in self.raw

    @property
    def is_interrupt(self) -> bool:
        """Whether the run waits for a person from here on; whoever claims it then may be another worker."""
        return self.data.current_state is ExecuteState.INTERRUPT

    @property
    def is_completion(self) -> bool:
        """Whether the run ends here."""
        return self.data.execute_type == ExecuteType.FLOW_COMPLETION

    @property
    def is_tool(self) -> bool:
        """Whether it belongs to a tool call; the end of ask_user has a type of its own."""
        return self.data.execute_type.startswith("tool_") or self.data.execute_type == ExecuteType.ASK_USER

    @property
    def effect(self) -> str | None:
        """The id of the call whose effect this event announces (init) or reports (complete)."""
        if self.data.execute_type != _BASH:
            return None
        found = _EFFECT.search(self.raw)
        return found[1] if found else None


@dataclass(frozen=True)
class RunEvidence:
    """One accepted run: its log as it stands in the end.

    `effects` counts the lines on disk by call id, `crashes` the workers that it lost.
    """

    followed: Followed
    status: str
    stop_reason: str
    crashes: int
    entries: Sequence[Entry]
    effects: Counter[str]

    @property
    def name(self) -> str:
        """How findings call it."""
        return f"{self.followed.script.name} (thread {self.followed.thread_id}, run {self.followed.run_id})"

    @cached_property
    def seen_text(self) -> list[Entry]:
        """The pieces of text that its client got, most of which the log no longer holds."""
        return [read_entry(text.id, text.raw) for text in self.followed.text]

    @cached_property
    def attempts(self) -> list[list[Entry]]:
        """All that is known to have been in the log, cut before each `resumed` and after each wait for a person."""
        known = {entry.id: entry for entry in (*self.seen_text, *self.entries)}
        parts: list[list[Entry]] = [[]]
        for entry in sorted(known.values(), key=lambda entry: parse_stream_id(entry.id)):
            if entry.is_resumed or (parts[-1] and parts[-1][-1].is_interrupt):
                parts.append([])
            parts[-1].append(entry)
        return parts

    def effects_in(self, state: ExecuteState) -> set[str]:
        """Return the call ids of the effects that the log has in this state."""
        return {entry.effect for entry in self.entries if entry.effect and entry.data.current_state is state}


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that the checks read.

    `unknown_to_clients` are ids of runs that no client got and that did not fail; `model_calls` counts the calls of the
    model for each turn of each run.
    """

    runs: Sequence[RunEvidence]
    unknown_to_clients: Sequence[str]
    refused: Sequence[str]
    immortal_keys: Sequence[str]
    model_calls: Counter[str]


class Scene(Protocol):
    """Where it all happened."""

    @property
    def redis_url(self) -> str:
        """The Redis."""

    def workspace(self, thread_id: str) -> Path:
        """Return the folder that the tools of a thread work in."""

    def printed(self, file_name: str) -> list[str]:
        """Return the lines that the workers have written into a file of their folder."""


async def gather_evidence(stack: Scene, followed: Sequence[Followed], refused: Sequence[str]) -> Evidence:
    """Read it all; the workers have been stopped before."""
    async with Redis.from_url(stack.redis_url, decode_responses=True) as opened:
        redis: Any = opened  # redis-py types every answer as perhaps awaitable
        runs = [await read_run(redis, stack, run) for run in followed]
        return Evidence(
            runs=runs,
            unknown_to_clients=await _unknown_to_clients(redis, followed),
            refused=refused,
            immortal_keys=[key async for key in redis.scan_iter(count=1000) if await redis.ttl(key) == -1],
            model_calls=Counter(stack.printed(MODEL_CALLS_FILE)),
        )


async def read_run(redis: Any, stack: Scene, run: Followed) -> RunEvidence:
    """Return the log, the record and the effects of a run."""
    prefix = f"thread:{run.thread_id}"
    record: Mapping[str, str] = await redis.hgetall(f"{prefix}:run:{run.run_id}")
    log: list[tuple[str, dict[str, str]]] = await redis.xrange(f"{prefix}:stream")
    return RunEvidence(
        followed=run,
        status=record.get("status", "gone"),
        stop_reason=record.get("stop_reason", ""),
        crashes=int(record.get("crashes") or 0),
        entries=[read_entry(entry_id, fields["data"]) for entry_id, fields in log if fields["run_id"] == run.run_id],
        effects=Counter(_effects_on_disk(stack, run)),
    )


def read_entry(entry_id: str, raw: str) -> Entry:
    """Return an entry of a log, or an event as a client got it."""
    return Entry(entry_id, raw, read_data(raw))


def _effects_on_disk(stack: Scene, run: Followed) -> Iterator[str]:
    file = stack.workspace(run.thread_id) / EFFECTS_FILE
    if not file.exists():
        return
    for line in file.read_text().splitlines():
        name, _, call_id = line.partition(" ")
        if name == run.script.name:
            yield call_id


async def _unknown_to_clients(redis: Any, followed: Sequence[Followed]) -> list[str]:
    known = {run.run_id for run in followed}
    unknown_to_clients = []
    for thread_id in {run.thread_id for run in followed}:
        for run_id in await redis.lrange(f"thread:{thread_id}:runs", 0, -1):
            status = await redis.hget(f"thread:{thread_id}:run:{run_id}", "status")
            if run_id not in known and status != RunStatus.FAILED:
                unknown_to_clients.append(run_id)
    return unknown_to_clients
