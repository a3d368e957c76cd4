"""Steering text for an active run, a task that interrupts it, and the explanation of a run."""

from shared.contract.api import WhyResponse
from shared.contract.message import Role
from shared.contract.run import RunStatus, StopReason
from tests.e2e.asked import read_requests
from tests.e2e.event_log import EndedRun
from tests.e2e.service_process import wait_until
from tests.e2e.stack import Stack
from tests.e2e.test_takeover import END, PLAN, Watched, is_begun, is_delta, shell, watched
from tests.fakes.openai_script import Answer
from tests.fakes.openai_server import OpenAIServer

UNTIL_GO = shell("until [ -e go ]; do sleep 0.05; done")
SLOW = Answer(text="This takes a while to say.", piece=2, delay=0.1)


def let_go(stack: Stack, thread_id: str) -> None:
    workspace = stack.workspace(thread_id)
    wait_until(workspace.is_dir, "the sandbox is there")
    (workspace / "go").touch()


def user_texts(run: EndedRun) -> list[object]:
    results = [event.result("user_message_result") for event in run.of_kind("user_message")]
    return [result["task"] for result in results if isinstance(result, dict)]


def why(run: Watched) -> WhyResponse:
    answer = run.stack.http.get(f"/api/agent/{run.thread_id}/runs/{run.run_id}/why")
    assert answer.status_code == 200, answer.text
    return WhyResponse.model_validate_json(answer.content)


def test_steering_text_reaches_the_next_step_of_an_active_run(stack: Stack, openai_server: OpenAIServer) -> None:
    openai_server.play([PLAN, UNTIL_GO, END])
    with watched(stack, "Build a house") as run:
        run.until(is_begun)
        answer = stack.post_task(run.thread_id, "And a roof", on_busy="steer")
        assert (answer["run_id"], answer["status"]) == (run.run_id, "processing")
        let_go(stack, run.thread_id)
        ended = run.end()
    assert ended.stop_reason == StopReason.COMPLETED
    assert user_texts(ended) == ["Build a house", "And a roof"]
    assert {event.data.run_id for event in ended.events} == {run.run_id}
    asked = read_requests(openai_server.requests)
    assert [message.role for message in asked[-1].messages[-2:]] == ["tool", "user"]
    assert asked[-1].messages[-1].text == "And a roof"
    assert "And a roof" not in str(asked[-2])
    messages = stack.http.get(f"/api/agent/{run.thread_id}/messages").json()["items"]
    assert [m["content"] for m in messages if m["role"] == Role.USER] == ["Build a house", "And a roof"]
    assert stack.http.get(f"/api/agent/{run.thread_id}").json()["run_count"] == 1


def test_steering_text_for_a_run_about_to_end_is_answered(stack: Stack, openai_server: OpenAIServer) -> None:
    openai_server.play([SLOW, Answer(text="With a roof.")])
    with watched(stack, "Build a house") as run:
        run.until(is_delta)
        assert stack.post_task(run.thread_id, "And a roof", on_busy="steer")["run_id"] == run.run_id
        ended = run.end()
    assert ended.stop_reason == StopReason.COMPLETED
    answers = [event.result("assistant_response_result") for event in ended.of_kind("assistant_response")]
    assert answers == [SLOW.text, "With a roof."]
    assert user_texts(ended) == ["Build a house", "And a roof"]


def test_steering_text_with_one_key_is_added_once(stack: Stack, openai_server: OpenAIServer) -> None:
    openai_server.play([PLAN, UNTIL_GO, END])
    key = {"Idempotency-Key": "a roof"}
    with watched(stack, "Build a house") as run:
        run.until(is_begun)
        for _ in range(3):
            assert stack.post_task(run.thread_id, "And a roof", on_busy="steer", headers=key)["run_id"] == run.run_id
        let_go(stack, run.thread_id)
        ended = run.end()
    assert user_texts(ended) == ["Build a house", "And a roof"]
    late = stack.post_task(run.thread_id, "And a roof", on_busy="steer", headers=key)
    assert (late["run_id"], late["status"]) == (run.run_id, "completed")


def test_steering_text_for_an_idle_thread_is_a_run(stack: Stack, openai_server: OpenAIServer) -> None:
    openai_server.play([END])
    assert stack.run("Build a house", on_busy="steer").stop_reason == StopReason.COMPLETED


def test_an_interrupting_task_replaces_the_active_run(stack: Stack, openai_server: OpenAIServer) -> None:
    openai_server.play([PLAN, shell("sleep 300"), Answer(text="Put out."), Answer(text="Later.")])
    with watched(stack, "Build a house") as run:
        run.until(is_begun)
        queued = stack.execute(run.thread_id, "Paint it")
        urgent = stack.post_task(run.thread_id, "It burns", on_busy="interrupt")
        assert urgent["status"] == "pending"
        run.events += run.rest()
    interrupted = EndedRun(run.thread_id, run.run_id, run.events, stack.record(run.thread_id, run.run_id))
    assert (interrupted.stop_reason, interrupted.record.status) == (StopReason.CANCELLED, RunStatus.CANCELLED)
    ended = [stack.follow(run.thread_id, run_id) for run_id in (urgent["run_id"], queued)]
    assert [each.stop_reason for each in ended] == [StopReason.COMPLETED] * 2
    ends = [event.data.run_id for event in stack.log(run.thread_id) if event.is_completion]
    assert ends == [run.run_id, urgent["run_id"], queued]


def test_why_explains_a_run_and_what_comes_next(stack: Stack, openai_server: OpenAIServer) -> None:
    openai_server.play([PLAN, UNTIL_GO, END, END])
    with watched(stack) as run:
        begun = run.until(is_begun)
        found = why(run)
        assert (found.status, found.doing) == (RunStatus.PROCESSING, "It carries out 1 tool call(s).")
        assert (found.since, found.is_owner_alive) == (begun.data.create_at, True)
        assert found.next.what == "If its worker stops renewing its lease, another one takes it over."
        queued = stack.execute(run.thread_id, "Another")
        explained = stack.http.get(f"/api/agent/{run.thread_id}/runs/{queued}/why").json()
        assert explained["doing"] == "It waits behind 1 run(s) of its thread."
        let_go(stack, run.thread_id)
        run.rest()
    stack.follow(run.thread_id, queued)
    assert why(run).doing == "It has ended: completed."
    unknown = stack.http.get(f"/api/agent/{run.thread_id}/runs/unknown/why")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "run_not_found")
