"""The use case of POST input: a person answers a waiting run, and it resumes."""

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

    async def answer(self, thread_id: str, run_id: str, request: InputRequest) -> RunStatus:
        """Return the run's status afterwards.

        Raises RunNotFoundError, RunNotWaitingError, InvalidRequestError, StoreUnavailableError. A broker that does not
        answer raises nothing: the answer is stored, and a reaper publishes the run.
        """
        run = await self._runs.get(thread_id, run_id)
        question = run.waiting
        if question is None or request.call_id not in (None, question.call_id):
            if not _is_repeated(run.last_answer, request):
                raise RunNotWaitingError
            if run.status is not RunStatus.PENDING:
                return run.status
        else:
            await self._runs.answer(thread_id, run_id, _answer(question, request))
        job = RunJob(thread_id=thread_id, run_id=run_id)
        try:
            await self._publisher.publish(job)
        except BrokerUnavailableError:
            logger.warning("answered run not published; a reaper will publish it", extra={"run_id": run_id})
        return RunStatus.PROCESSING


def _is_repeated(given: Answer | None, request: InputRequest) -> bool:
    """Whether this repeats the last answer: the response to the first request may have been lost."""
    if given is None or request.call_id not in (None, given.call_id) or request.answer != given.text:
        return False
    is_text_only = given.decision is None and given.arguments is None  # a question takes nothing else
    return is_text_only or (request.decision, request.arguments) == (given.decision, given.arguments)


def _answer(question: Question, request: InputRequest) -> Answer:
    if question.kind is QuestionKind.ASK_USER:
        if not request.answer.strip():
            raise InvalidRequestError("The run waits for an answer: send it as `answer`, and not blank.")
        return Answer(call_id=question.call_id, text=request.answer)
    if request.decision is None:
        raise InvalidRequestError("The run waits for a decision: send `decision` approve or deny.")
    return Answer(call_id=question.call_id, text=request.answer, decision=request.decision, arguments=request.arguments)
