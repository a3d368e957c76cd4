"""Observers of the runs of this process: the log, and whatever else is given."""

import logging
from collections.abc import Sequence

from shared.contract.run import RunRecord
from workflow.journal.observer import (
    RunClaimed,
    RunEnded,
    RunFact,
    RunHandedOver,
    RunObserver,
    RunResumed,
    RunTakenOver,
    RunWaiting,
    StepEnded,
    ToolCallEnded,
)

_log = logging.getLogger(__name__)


class LogObserver:
    """Writes facts to the log; those of single steps at level DEBUG."""

    def observe(self, fact: RunFact) -> None:
        """Write one line."""
        if isinstance(fact, StepEnded | ToolCallEnded):
            _log_step(fact)
            return
        match fact:
            case RunClaimed(run):
                _log.info("run begins, attempt %d", run.attempts)
            case RunTakenOver():
                _log.warning("run taken over: its last worker was lost")
            case RunResumed():
                _log.info("run resumed")
            case RunWaiting(_, question):
                _log.info("the run waits for a person: %s", question.kind)
            case RunHandedOver():
                _log.info("run handed over")
            case RunEnded(_, outcome):
                _log.info("run ended: %s", outcome.stop_reason)


def _log_step(fact: StepEnded | ToolCallEnded) -> None:
    if isinstance(fact, StepEnded):
        tokens = fact.usage.input_tokens + fact.usage.output_tokens
        _log.debug("step ended after %.2f s: %d tokens", fact.seconds, tokens)
    else:
        _log.debug("tool call %s %s after %.2f s", fact.tool, "failed" if fact.is_error else "ended", fact.seconds)


class Observers:
    """Tells each of several; one that fails is logged, and neither the others nor the run notice."""

    def __init__(self, observers: Sequence[RunObserver]) -> None:
        self._observers = observers

    def observe(self, fact: RunFact) -> None:
        """Pass a fact on."""
        for observer in self._observers:
            try:
                observer.observe(fact)
            except Exception:  # noqa: BLE001 - what merely looks on must not end a run
                _log.exception("an observer failed: %s", type(observer).__name__)


def note_claim(run: RunRecord, observer: RunObserver) -> None:
    """Tell of a claim, and why there was an earlier one."""
    observer.observe(RunClaimed(run))
    if run.after_crash:
        observer.observe(RunTakenOver(run))
    elif run.attempts > 1:
        observer.observe(RunResumed(run))
