"""The use case behind POST input: a person answers a run that waits, and it goes on."""

import logging

from gateway.service.submit_run import Publisher
from shared.contract.api import InputRequest
from shared.contract.run import Answer, Question, QuestionKind, RunJob, RunStatus
from shared.errors import BrokerUnavailableError, InvalidRequestError, RunNotWaitingError
from shared.store.leases import LeaseStore
from shared.store.runs import RunStore

# The published job comes first; this is for the case that the broker loses it.
_LOOK_SECONDS = 1.0

logger = logging.getLogger(__name__)


class RunAnswer:
    """Answers runs."""

    def __init__(self, runs: RunStore, leases: LeaseStore, publisher: Publisher) -> None:
        self._runs = runs
        self._leases = leases
        self._publisher = publisher

    async def answer(self, thread_id: str, run_id: str, said: InputRequest) -> RunStatus:
        """Return the run's status afterwards.

        Raises RunNotFoundError, RunNotWaitingError, InvalidRequestError, StoreUnavailableError. A broker that does not
        answer is no concern of the client's: the answer is kept, and a reaper publishes the run.
        """
        run = await self._runs.get(thread_id, run_id)
        question = run.waiting
        if question is None or said.call_id not in (None, question.call_id):
            raise RunNotWaitingError
        await self._runs.answer(thread_id, run_id, _answer(question, said))
        job = RunJob(thread_id=thread_id, run_id=run_id)
        await self._leases.watch(job, due_in_seconds=_LOOK_SECONDS)
        try:
            await self._publisher.publish(job)
        except BrokerUnavailableError:
            logger.warning("an answered run was not published; a reaper does it", extra={"run_id": run_id})
        return RunStatus.PROCESSING


def _answer(question: Question, said: InputRequest) -> Answer:
    if question.kind is QuestionKind.ASK_USER:
        if not said.answer.strip():
            raise InvalidRequestError("The run waits for an answer: send it as `answer`, and not blank.")
        return Answer(call_id=question.call_id, text=said.answer)
    if said.decision is None:
        raise InvalidRequestError("The run waits for a decision: send `decision` approve or deny.")
    return Answer(call_id=question.call_id, text=said.answer, decision=said.decision, arguments=said.arguments)
