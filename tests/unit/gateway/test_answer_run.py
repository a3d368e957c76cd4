"""Answering a run again, because the first response was lost, succeeds."""

import pytest

from gateway.service.run.answer import RunAnswer
from shared.contract.api import InputRequest
from shared.contract.run import Answer, Decision, Question, QuestionKind, RunRecord, RunStatus
from shared.errors import RunNotWaitingError
from shared.store.runs import RunStore
from tests.fakes.fake_run_store import FakePublisher

_QUESTION = Question(kind=QuestionKind.ASK_USER, call_id="c", question="Which?")
_GIVEN = Answer(call_id="c", text="this one")
_APPROVED = Answer(call_id="c", decision=Decision.APPROVE, arguments={"a": 1})


class FakeRuns(RunStore):
    """One run; `given` is what it was answered."""

    def __init__(self, **members: object) -> None:
        known = {"run_id": "r", "thread_id": "t", "task": "", "created_at": ""}
        self.run = RunRecord.model_validate({**known, **members})
        self.given: list[Answer] = []

    async def get(self, thread_id: str, run_id: str) -> RunRecord:
        return self.run

    async def answer(self, thread_id: str, run_id: str, answer: Answer) -> None:
        self.given.append(answer)


async def _answer(runs: FakeRuns, **body: object) -> tuple[RunStatus, int]:
    publisher = FakePublisher()
    status = await RunAnswer(runs, publisher).answer("t", "r", InputRequest.model_validate(body))
    return status, len(publisher.jobs)


async def test_the_first_answer_is_kept_and_the_run_published() -> None:
    runs = FakeRuns(status=RunStatus.WAITING, waiting=_QUESTION)
    assert await _answer(runs, answer="this one") == (RunStatus.PROCESSING, 1)
    assert runs.given == [_GIVEN]


@pytest.mark.parametrize("status", [RunStatus.PROCESSING, RunStatus.COMPLETED])
@pytest.mark.parametrize("call_id", [None, "c"])
async def test_the_same_answer_again_is_accepted_after_the_run_resumed(status: RunStatus, call_id: str | None) -> None:
    runs = FakeRuns(status=status, last_answer=_GIVEN)
    assert await _answer(runs, answer="this one", call_id=call_id) == (status, 0)
    assert runs.given == []


async def test_the_same_answer_again_publishes_a_run_that_nobody_has_claimed() -> None:
    assert await _answer(FakeRuns(last_answer=_GIVEN), answer="this one") == (RunStatus.PROCESSING, 1)


async def test_a_repeated_answer_to_an_earlier_question_is_accepted_while_the_next_waits() -> None:
    waiting = _QUESTION.model_copy(update={"call_id": "d"})
    runs = FakeRuns(status=RunStatus.WAITING, waiting=waiting, last_answer=_GIVEN)
    assert await _answer(runs, answer="this one", call_id="c") == (RunStatus.WAITING, 0)
    assert runs.given == []


@pytest.mark.parametrize(
    ("given", "body"),
    [
        (None, {"answer": "this one"}),
        (_GIVEN, {"answer": "that one"}),
        (_GIVEN, {"answer": "this one", "call_id": "d"}),
        (_APPROVED, {"decision": "deny"}),
        (_APPROVED, {"decision": "approve", "arguments": {"a": 2}}),
    ],
    ids=["never asked", "other text", "other call", "other decision", "other arguments"],
)
async def test_another_answer_is_refused_once_the_run_resumed(given: Answer | None, body: dict[str, object]) -> None:
    with pytest.raises(RunNotWaitingError):
        await _answer(FakeRuns(status=RunStatus.PROCESSING, last_answer=given), **body)
