"""Services that are missing, broken or stopped: it is reported once, clearly, and nothing hangs."""

import json

import httpx
import pytest

from shared.contract.event import ExecuteState
from shared.contract.run import RunStatus
from tests.e2e.conftest import FreshStack
from tests.e2e.stack import Stack
from tests.fakes.openai_script import Answer, Call
from tests.fakes.openai_server import OpenAIServer
from tests.integration.redis_process import RedisProcess, free_port

PLAN = Answer(calls=(Call(name="job_plan", arguments={"name": "n", "plan": "p"}),))


def assert_error(answer: httpx.Response, status: int, code: str) -> None:
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body["code"] == code
    assert body["detail"]
    assert body["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"BAUD_LLM__MODEL": "python:no.such:factory"}, id="model that is not there"),
        pytest.param({"BAUD_TOOLS__FLY__ENABLED": "true"}, id="unknown tool"),
    ],
)
def test_a_worker_that_cannot_start_reports_it_in_the_run(fresh_stack: FreshStack, settings: dict[str, str]) -> None:
    stack = fresh_stack(**settings)
    run = stack.run("Do something")
    assert run.stop_reason == "internal_error"
    assert run.completion.data.current_state is ExecuteState.ERROR
    assert run.record.status is RunStatus.FAILED
    assert [event.kind for event in run.events] == ["user_message", "flow_completion"]
    assert run.message
    again = stack.run("And now?", thread_id=run.thread_id)
    assert again.stop_reason == "internal_error"


def test_a_task_that_the_broker_does_not_take_is_failed(fresh_stack: FreshStack) -> None:
    stack = fresh_stack(modems=0, BAUD_MODEM__BROKER_URL=f"redis://127.0.0.1:{free_port()}/0")
    thread_id = stack.initiate()
    answer = stack.http.post(f"/api/agent/{thread_id}/execute", json={"task": "Do something"})
    assert_error(answer, 503, "broker_unavailable")
    assert int(answer.headers["retry-after"]) > 0
    (listed,) = stack.http.get(f"/api/agent/{thread_id}/runs").json()["items"]
    assert listed["status"] == "failed"
    run = stack.follow(thread_id, listed["run_id"])
    assert len(run.events) == 1
    assert run.stop_reason == "internal_error"
    assert stack.http.get(f"/api/agent/{thread_id}").json().get("active_run_id", "") == ""
    assert stack.until_probed("/ready", broker="unavailable").status_code == 503


@pytest.mark.brokers
def test_without_a_modem_the_stack_is_degraded_and_keeps_tasks(
    fresh_stack: FreshStack, openai_server: OpenAIServer
) -> None:
    openai_server.play([Answer(text="Better late.")])
    stack = fresh_stack(modems=0)
    health = stack.http.get("/health")
    assert (health.status_code, health.json()["status"]) == (200, "degraded")
    thread_id = stack.initiate()
    run_id = stack.execute(thread_id, "Wait for me")
    assert stack.record(thread_id, run_id).status is RunStatus.PENDING
    stack.start_modem("late")
    assert stack.follow(thread_id, run_id).stop_reason == "completed"


def test_a_stopping_gateway_notifies_its_readers(fresh_stack: FreshStack) -> None:
    stack = fresh_stack(modems=0)
    thread_id = stack.initiate()
    with stack.frames(f"/api/agent/{thread_id}/stream") as frames:
        assert next(frames).event == "waiting"
        stack.gateway.terminate()
        (farewell,) = frames
    assert (farewell.event, farewell.id) == ("error", None)
    assert json.loads(farewell.data)["error_type"] == "shutdown"
    assert stack.gateway.wait() == 0


def test_without_redis_every_route_answers_503(fresh_stack: FreshStack, own_redis: RedisProcess) -> None:
    stack = fresh_stack(modems=0)
    thread_id = stack.initiate()
    run_id = stack.execute(thread_id, "Do something")
    base = f"/api/agent/{thread_id}"
    with stack.frames(f"{base}/stream") as frames:
        assert next(frames).event == "waiting"
        own_redis.stop()
        last = list(frames)[-1]
    assert (last.event, '"unavailable"' in last.data) == ("error", True)
    for path in ("/api/agent/threads", base, f"{base}/messages", f"{base}/runs", f"{base}/runs/{run_id}"):
        assert_error(stack.http.get(path), 503, "redis_unavailable")
    for path in (f"{base}/stream", f"{base}/runs/{run_id}/stream", "/agent/event-stream?flowUuid=a&flowInputUuid=b"):
        assert_error(stack.http.get(path), 503, "redis_unavailable")
    assert_error(stack.http.post("/api/agent/initiate", json={}), 503, "redis_unavailable")
    assert_error(stack.http.post(f"{base}/execute", json={"task": "x"}), 503, "redis_unavailable")
    assert_error(stack.http.delete(base), 503, "redis_unavailable")
    assert stack.until_probed("/health", status="unhealthy").status_code == 503
    assert stack.until_probed("/ready", status="not_ready").status_code == 503
    assert stack.http.get("/live").status_code == 200
    own_redis.start()
    assert stack.http.post("/api/agent/initiate", json={}).status_code == 200


@pytest.mark.brokers
def test_a_stopping_modem_hands_its_runs_over_and_exits(fresh_stack: FreshStack, openai_server: OpenAIServer) -> None:
    openai_server.play(
        [
            Answer(text="I think", when="Think for ever", hang_after=2),
            Answer(text="Thought.", when="Think for ever"),
            PLAN,
            Answer(calls=(Call(name="bash", arguments={"cmd": "echo begun; sleep 600"}),)),
            Answer(text="Worked."),
        ]
    )
    stack = fresh_stack(BAUD_MODEM__DRAIN_TIMEOUT="0.5")
    thinking, working = (
        (thread_id, stack.execute(thread_id, task))
        for thread_id, task in zip(
            (stack.initiate(), stack.initiate()), ("Think for ever", "Work for ever"), strict=True
        )
    )
    wait_for_event(stack, thinking[0], "I think")
    wait_for_event(stack, working[0], '"begun\\n"')
    old = stack.modems[0]
    stack.start_modem("successor")
    old.terminate()
    assert old.wait() == 0
    for thread_id, run_id in (thinking, working):
        run = stack.follow(thread_id, run_id)
        assert run.stop_reason == "completed"
        # A stopping worker may still get the job of its own run, and then hands it over once more.
        assert run.record.attempts == 2
        assert run.record.crashes == 0
    (shell,) = run.of_kind("tool_bash", ExecuteState.ERROR)
    assert shell.data.uuid == run.of_kind("tool_bash", ExecuteState.INIT)[0].data.uuid


def wait_for_event(stack: Stack, thread_id: str, text: str) -> None:
    with stack.frames(f"/api/agent/{thread_id}/stream") as frames:
        assert any(text in frame.data for frame in frames)


@pytest.mark.brokers
def test_a_run_that_ends_in_time_is_not_cut_short_by_a_stop(
    fresh_stack: FreshStack, openai_server: OpenAIServer
) -> None:
    openai_server.play([Answer(text="This is said to the end.", piece=2, delay=0.05)])
    stack = fresh_stack()
    thread_id = stack.initiate()
    run_id = stack.execute(thread_id, "Say it")
    assert openai_server.wait_until(lambda: len(openai_server.requests) == 1, 15)
    (modem,) = stack.modems
    modem.terminate()
    assert stack.follow(thread_id, run_id).stop_reason == "completed"
    assert modem.wait() == 0
