"""A run waits for a person on a complete stack: it holds no worker, and goes on with the answer."""

import httpx
import pytest

from shared.contract.event import ExecuteState
from shared.contract.run import RunStatus, StopReason
from tests.e2e.asked import read_requests
from tests.e2e.conftest import FreshStack
from tests.e2e.event_log import LogEvent
from tests.e2e.service_process import wait_until
from tests.e2e.stack import Stack
from tests.e2e.test_takeover import END, PLAN, Watched, shell, watched
from tests.fakes.openai_script import Answer, Call
from tests.fakes.openai_server import OpenAIServer

ASK = Answer(calls=(Call(name="ask_user", arguments={"question": "Which colour?", "options": ["red", "blue"]}),))


def is_question(event: LogEvent) -> bool:
    return event.data.current_state is ExecuteState.INTERRUPT


def send_input(run: Watched, **body: object) -> httpx.Response:
    return run.stack.http.post(f"/api/agent/{run.thread_id}/runs/{run.run_id}/input", json=body)


def wait_for_question(run: Watched) -> None:
    run.until(is_question)
    wait_until(lambda: run.stack.record(run.thread_id, run.run_id).status is RunStatus.WAITING, "the run waits")


def test_an_answered_question_lets_the_run_go_on(stack: Stack, openai_server: OpenAIServer) -> None:
    openai_server.play([ASK, Answer(text="Red it is.")])
    with watched(stack, "Paint it") as run:
        wait_for_question(run)
        record = stack.record(run.thread_id, run.run_id)
        assert (record.owner, record.waiting is not None) == (None, True)
        assert send_input(run, answer="  ").status_code == 400
        assert send_input(run, answer="red", call_id="another").status_code == 409
        assert send_input(run, answer="red").status_code == 202
        ended = run.end()
    assert (ended.stop_reason, ended.record.attempts) == (StopReason.COMPLETED, 2)
    assert read_requests(openai_server.requests)[-1].messages[-1].text == "The user answered: red"
    assert not ended.of_kind("status"), "an answer is not a new attempt"
    assert send_input(run, answer="red").status_code == 202, (
        "the same again: the answer to the first may have been lost"
    )
    assert send_input(run, answer="blue").status_code == 409


@pytest.fixture
def careful(fresh_stack: FreshStack) -> Stack:
    """A stack that asks before every command."""
    return fresh_stack(BAUD_TOOLS__BASH__APPROVAL="always")


def test_a_command_waits_for_approval_and_runs_as_decided(careful: Stack, openai_server: OpenAIServer) -> None:
    openai_server.play([PLAN, shell("touch wanted"), shell("touch refused"), END])
    with watched(careful, "Touch two files") as run:
        wait_for_question(run)
        assert not (careful.workspace(run.thread_id) / "wanted").exists()
        assert send_input(run, decision="approve", arguments={"cmd": "touch changed"}).status_code == 202
        wait_for_question(run)
        assert send_input(run, decision="deny", answer="not that one").status_code == 202
        ended = run.end()
    assert ended.stop_reason == StopReason.COMPLETED
    names = {path.name for path in careful.workspace(run.thread_id).iterdir()}
    assert "changed" in names
    assert names.isdisjoint({"wanted", "refused"})
    assert "A person denied this call. not that one" in str(read_requests(openai_server.requests)[-1])


def test_steering_text_for_a_waiting_run_is_its_answer(stack: Stack, openai_server: OpenAIServer) -> None:
    openai_server.play([ASK, Answer(text="Blue it is.")])
    with watched(stack, "Paint it") as run:
        wait_for_question(run)
        assert stack.post_task(run.thread_id, "blue", on_busy="steer")["run_id"] == run.run_id
        ended = run.end()
    assert ended.stop_reason == StopReason.COMPLETED
    assert read_requests(openai_server.requests)[-1].messages[-1].text == "The user answered: blue"


def test_a_cancelled_question_frees_the_thread_and_leaves_no_call_open(
    stack: Stack, openai_server: OpenAIServer
) -> None:
    openai_server.play([ASK, Answer(text="Something else.")])
    with watched(stack, "Paint it") as run:
        wait_for_question(run)
        queued = stack.post_task(run.thread_id, "Do something else")
        assert queued["status"] == "pending"
        stack.http.post(f"/api/agent/{run.thread_id}/runs/{run.run_id}/cancel").raise_for_status()
        ended = run.end()
    assert ended.stop_reason == StopReason.CANCELLED
    (last,) = [event for event in ended.of_kind("tool_ask_user") if event.data.current_state is ExecuteState.ERROR]
    assert last.data.error_flag
    assert stack.follow(run.thread_id, queued["run_id"]).stop_reason == StopReason.COMPLETED
