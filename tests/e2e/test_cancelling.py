"""A cancel of a run whose worker was lost: the run and its open calls are ended without a worker."""

import signal

import pytest

from shared.contract.api import CancelResponse
from shared.contract.event import ExecuteState
from shared.contract.result import AssistantDeltaResult
from shared.contract.run import RunStatus, StopReason
from tests.e2e.conftest import FreshStack
from tests.e2e.service_process import wait_until
from tests.e2e.stack import Stack
from tests.e2e.test_steering import why
from tests.e2e.test_takeover import PLAN, SETTINGS, assert_every_call_ended_once, is_begun, is_delta, shell, watched
from tests.fakes.openai_script import Answer
from tests.fakes.openai_server import OpenAIServer

pytestmark = pytest.mark.brokers


def test_a_run_without_a_worker_is_cancelled_at_once_and_its_call_closed(
    fresh_stack: FreshStack, openai_server: OpenAIServer
) -> None:
    openai_server.play([PLAN, shell("sleep 20"), Answer(text="Noted.")])
    stack = fresh_stack(**SETTINGS)
    with watched(stack) as run:
        run.until(is_begun)
        run.owner().send(signal.SIGKILL)
        wait_until(lambda: why(run).doing.startswith("Its worker was lost"), "the lease has run out")
        assert why(run).is_owner_alive is False
        answer = stack.http.post(f"/api/agent/{run.thread_id}/runs/{run.run_id}/cancel")
        assert CancelResponse.model_validate_json(answer.content).status is RunStatus.CANCELLED
        ended = run.end()
    assert ended.stop_reason == StopReason.CANCELLED
    assert_every_call_ended_once(ended)
    (closed,) = ended.of_kind("tool_bash", ExecuteState.ERROR)
    assert "its worker was lost" in str(closed.result("error"))
    assert why(run).doing == "It has ended: cancelled. The run was cancelled."
    stack.start_modem("successor")
    following = stack.run("And now?", thread_id=run.thread_id)
    assert (following.stop_reason, following.record.attempts) == (StopReason.COMPLETED, 1)
    asked = openai_server.requests[-1]["messages"]
    assert "its worker was lost" in str(asked), "the next run knows that the call was never finished"


def test_text_that_was_cancelled_in_mid_sentence_stays(stack: Stack, openai_server: OpenAIServer) -> None:
    openai_server.play([PLAN, Answer(text="I think about it for ever.", hang_after=3), Answer(text="Noted.")])
    with watched(stack) as run:
        run.until(is_delta)
        assert stack.http.post(f"/api/agent/{run.thread_id}/runs/{run.run_id}/cancel").status_code == 202
        assert run.end().stop_reason == StopReason.CANCELLED
    stack.run("And now?", thread_id=run.thread_id)
    pieces = [event for event in stack.log(run.thread_id) if is_delta(event)]
    texts = [AssistantDeltaResult.model_validate(piece.result("assistant_delta")).text for piece in pieces]
    assert "".join(texts) == "I think about "
