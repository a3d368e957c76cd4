"""What came of the story: every promise with what broke it, beside those that the chaos tests check as well."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from redis.asyncio import Redis

from shared.contract.event import ExecuteState, ExecuteType
from shared.store.records import read_message
from tests.chaos.checks import (
    CHECKS,
    events_missed,
    events_out_of_order,
    events_seen_and_then_gone,
    events_seen_twice,
    runs_lost,
    runs_without_exactly_one_end,
    text_that_is_not_its_message,
)
from tests.chaos.evidence import Entry, Evidence, RunEvidence, read_entry, read_run
from tests.chaos.run_client import Followed
from tests.chaos.scripted_worker_model import LETTER_FILE
from tests.upgrade.stack import MixedStack, Service
from tests.upgrade.witness import Witness

_OF_STREAMS: Final = {
    "missed": events_missed,
    "seen twice": events_seen_twice,
    "out of order": events_out_of_order,
    "seen and then gone": events_seen_and_then_gone,
    "text that is not the beginning of its message": text_that_is_not_its_message,
}
_OF_LEGACY: Final = {"lost": runs_lost, "without exactly one end": runs_without_exactly_one_end}


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that the checks read. `views` are threads as clients saw them, `unlike` legacy streams unlike their runs."""

    evidence: Evidence
    views: Evidence
    legacy: Evidence
    unlike: Sequence[str]
    conversations: Counter[tuple[str, str]]  # how often a thread's conversation has a text
    letters: dict[str, str]  # the file that an approved call changed, by thread
    witness: Witness
    services: Sequence[Service]
    seconds: float

    def findings(self) -> dict[str, list[str]]:
        """Return what broke each promise."""
        found = {name: list(check(self.evidence)) for name, check in CHECKS.items()}
        for name, check in _OF_STREAMS.items():
            found[f"streams of threads: {name}"] = [*check(self.views), *check(self.legacy)]
        found["streams of threads: not read to the end"] = [
            run.name for run in self.views.runs if not run.followed.has_completed
        ]
        for name, check in _OF_LEGACY.items():
            found[f"legacy runs {name}"] = list(check(self.legacy))
        found["legacy streams unlike their runs"] = list(self.unlike)
        found["steering texts not taken exactly once"] = list(self._steering())
        found["answers not given exactly once"] = list(self._answers())
        found["approved calls not made exactly once"] = list(self._approvals())
        found["model answers paid twice without a fault"] = list(self._paid_twice())
        found["processes that ended otherwise than they were told to"] = list(self._processes())
        return found

    def _steering(self) -> Iterator[str]:
        for run, text in self.witness.steered:
            told = sum(text in entry.raw for entry in self._entries(run, ExecuteType.USER_MESSAGE))
            kept = self.conversations[run.thread_id, text]
            if (told, kept) != (1, 1):
                yield f"{text}: {told} times in the log, {kept} times in the conversation"

    def _answers(self) -> Iterator[str]:
        for run, text in self.witness.answered:
            given = [entry for entry in self._entries(run, ExecuteType.ASK_USER) if text in entry.raw]
            if len(given) != 1:
                yield f"{run.script.name}: {len(given)} times"

    def _approvals(self) -> Iterator[str]:
        for run in self.witness.approved:
            states = [
                entry.data.current_state
                for entry in self._entries(run, "tool_file_edit")
                if entry.data.current_state not in (ExecuteState.INIT, ExecuteState.INTERRUPT)
            ]
            letter = self.letters.get(run.thread_id)
            if states != [ExecuteState.COMPLETE] or letter != "sent\n":
                yield f"{run.script.name}: {states}, and the letter is {letter!r}"

    def _paid_twice(self) -> Iterator[str]:
        """A drain lets a model's answer come to its end, unless it is held longer than the drain takes."""
        for run in self.evidence.runs:
            owners = {int(tag.partition(".")[0]) for entry in run.seen_text for tag in entry.tags}
            if run.followed.script.pause or owners & self.witness.killed:
                continue
            for turn in range(run.followed.script.turns + 1):
                call = f"{run.followed.script.name} {turn}"
                if self.evidence.model_calls[call] > 1:
                    yield call

    def _processes(self) -> Iterator[str]:
        for service in self.services:
            process = service.process
            codes = [ending.code for ending in process.endings]
            if process.stubborn or process.starts > 1 or any(codes):
                yield f"{process.name}: {process.starts} starts, exit codes {codes}, {process.stubborn}"

    def _entries(self, run: Followed, kind: str) -> list[Entry]:
        (found,) = (each for each in self.evidence.runs if each.followed is run)
        return [entry for entry in found.entries if entry.data.execute_type == kind]


async def gather_outcome(stack: MixedStack, witness: Witness, evidence: Evidence, *, seconds: float) -> Outcome:
    """Read what the story left behind; everything has been stopped before."""
    async with Redis.from_url(stack.redis_url, decode_responses=True) as redis:
        legacy = [await read_run(redis, stack, run) for run in witness.legacy]
        threads = {run.thread_id for run in (*witness.runs, *witness.legacy)}
        return Outcome(
            evidence=evidence,
            views=replace(evidence, runs=[await _read_view(redis, view) for view in witness.views]),
            legacy=replace(evidence, runs=legacy),
            unlike=[run.name for run in legacy if await _is_unlike(redis, run)],
            conversations=await _count_texts(redis, threads),
            letters={run.thread_id: _letter(stack, run.thread_id) for run in witness.approved},
            witness=witness,
            services=stack.services,
            seconds=seconds,
        )


async def _read_view(redis: Any, view: Followed) -> RunEvidence:
    log = await redis.xrange(f"thread:{view.thread_id}:stream")
    entries = [read_entry(entry_id, fields["data"]) for entry_id, fields in log]
    return RunEvidence(view, "", "", 0, entries, Counter())


async def _is_unlike(redis: Any, run: RunEvidence) -> bool:
    followed = run.followed
    legacy = await redis.xrange(f"stream:{followed.thread_id}:{followed.run_id}")
    return [(entry.id, entry.raw) for entry in run.entries] != [(each, fields["data"]) for each, fields in legacy]


async def _count_texts(redis: Any, threads: set[str]) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    for thread_id in threads:
        for message in await redis.lrange(f"thread:{thread_id}:messages", 0, -1):
            counts[thread_id, read_message(message.encode()).text()] += 1
    return counts


def _letter(stack: MixedStack, thread_id: str) -> str:
    file = stack.workspace(thread_id) / LETTER_FILE
    return file.read_text() if file.exists() else ""
