"""The RunObserver port: what happens to runs, for logs, metrics, traces, audit and usage."""

from dataclasses import dataclass
from typing import Protocol

from shared.contract.run import Question, RunRecord, Usage
from workflow.journal.outcome import Outcome


@dataclass(frozen=True, slots=True)
class RunClaimed:
    """A worker begins with a run, for the first time or again."""

    run: RunRecord


@dataclass(frozen=True, slots=True)
class RunTakenOver:
    """A worker continues a run whose last worker was lost; comes after its RunClaimed."""

    run: RunRecord


@dataclass(frozen=True, slots=True)
class RunResumed:
    """A worker continues a run that was handed over, or that waited; comes after its RunClaimed."""

    run: RunRecord


@dataclass(frozen=True, slots=True)
class StepEnded:
    """One model call is written, with what it used; its tool calls come after it."""

    run: RunRecord
    usage: Usage
    seconds: float


@dataclass(frozen=True, slots=True)
class ToolCallEnded:
    """One tool call is written. One that an earlier worker began has lasted since then."""

    run: RunRecord
    tool: str
    is_error: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class RunWaiting:
    """A run waits for a person, without a worker."""

    run: RunRecord
    question: Question


@dataclass(frozen=True, slots=True)
class RunHandedOver:
    """A worker that stops has released a run for another one."""

    run: RunRecord


@dataclass(frozen=True, slots=True)
class RunEnded:
    """A run has ended, and that is written."""

    run: RunRecord
    outcome: Outcome


RunFact = RunClaimed | RunTakenOver | RunResumed | StepEnded | ToolCallEnded | RunWaiting | RunHandedOver | RunEnded


class RunObserver(Protocol):
    """Gets each fact once it is written, by the worker that wrote it.

    If the worker dies in between, no observer gets it: what has to be exact is read from the run's record.
    """

    def observe(self, fact: RunFact) -> None:
        """Take a fact, without blocking."""


class NoObserver:
    """Ignores every fact."""

    def observe(self, fact: RunFact) -> None:
        """Drop the fact."""
