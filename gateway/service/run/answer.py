"""The use case behind POST input: a person answers a run that waits, and it goes on."""

import logging

from gateway.service.run.submit import Publisher
from shared.contract.api import InputRequest
from shared.contract.run import Answer, Question, QuestionKind, RunJob, RunStatus
from shared.errors import BrokerUnavailableError, InvalidRequestError, RunNotWaitingError
from shared.store.runs import RunStore

logger = logging.getLogger(__name__)


class RunAnswer:
    """Answers runs."""

    def __init__(self, runs: RunStore, publisher: Publisher) -> None:
        self._runs = runs
        self._publisher = publisher

    async def answer(self, thread_id: str, run_id: str, said: InputRequest) -> RunStatus:
        """Return the run's status afterwards.

        Raises RunNotFoundError, RunNotWaitingError, InvalidRequestError, StoreUnavailableError. A broker that does not
        answer is no concern of the client's: the answer is kept, and a reaper publishes the run.
        """
        run = await self._runs.get(thread_id, run_id)
        question = run.waiting
        if question is None or said.call_id not in (None, question.call_id):
            if not _is_repeated(run.last_answer, said):
                raise RunNotWaitingError
            if run.status is not RunStatus.PENDING:
                return run.status
        else:
            await self._runs.answer(thread_id, run_id, _answer(question, said))
        job = RunJob(thread_id=thread_id, run_id=run_id)
        try:
            await self._publisher.publish(job)
        except BrokerUnavailableError:
            logger.warning("an answered run was not published; a reaper does it", extra={"run_id": run_id})
        return RunStatus.PROCESSING


def _is_repeated(given: Answer | None, said: InputRequest) -> bool:
    """Whether this is what was said before, once more: the answer to the first time may have been lost."""
    if given is None or said.call_id not in (None, given.call_id) or said.answer != given.text:
        return False
    is_text_only = given.decision is None and given.arguments is None  # a question takes nothing else
    return is_text_only or (said.decision, said.arguments) == (given.decision, given.arguments)


def _answer(question: Question, said: InputRequest) -> Answer:
    if question.kind is QuestionKind.ASK_USER:
        if not said.answer.strip():
            raise InvalidRequestError("The run waits for an answer: send it as `answer`, and not blank.")
        return Answer(call_id=question.call_id, text=said.answer)
    if said.decision is None:
        raise InvalidRequestError("The run waits for a decision: send `decision` approve or deny.")
    return Answer(call_id=question.call_id, text=said.answer, decision=said.decision, arguments=said.arguments)
