"""Answers a question that nobody answered in time with the configured default."""

from datetime import datetime

from shared.clock import SystemClock
from shared.contract.run import Answer, Decision, Question, QuestionKind, RunJob
from shared.errors import RunNotFoundError, RunNotWaitingError
from shared.store.runs import RunStore


class QuestionExpiry:
    """Answers in place of a person: a question with the default text, an approval with a denial."""

    def __init__(self, runs: RunStore, default_text: str, clock: SystemClock) -> None:
        self._runs = runs
        self._default_text = default_text
        self._clock = clock

    def seconds_left(self, question: Question) -> float:
        """Return how long a person may still answer; 0 or less once the time is up."""
        if question.expires_at is None:
            return 0.0
        return (datetime.fromisoformat(question.expires_at) - self._clock.now()).total_seconds()

    async def answer(self, job: RunJob, question: Question) -> bool:
        """Give the default answer; False when a person answered first. Raises StoreUnavailableError."""
        decision = Decision.DENY if question.kind is QuestionKind.APPROVAL else None
        answer = Answer(call_id=question.call_id, text=self._default_text, decision=decision)
        try:
            await self._runs.answer(job.thread_id, job.run_id, answer)
        except (RunNotFoundError, RunNotWaitingError):
            return False
        return True
