"""More than one task on a thread, and the same one more than once: each runs once, in order."""

import pytest
from celery import Celery

from shared.contract.run import RunStatus
from shared.keys import EXECUTE_RUN_TASK
from tests.e2e.asked import read_requests
from tests.e2e.conftest import FreshStack
from tests.e2e.event_log import LogEvent, assert_read_whole
from tests.e2e.service_process import wait_until
from tests.e2e.stack import Stack
from tests.fakes.openai_script import Answer, Call
from tests.fakes.openai_server import OpenAIServer
from tests.streamed_text import is_text

pytestmark = pytest.mark.brokers

SLOW = Answer(text="This takes a while to say.", piece=2, delay=0.05)
PLAN = Answer(calls=(Call(name="job_plan", arguments={"name": "n", "plan": "p"}),))


def wait_until_asked(server: OpenAIServer, count: int = 1) -> None:
    assert server.wait_until(lambda: len(server.requests) >= count, 15)


def test_a_second_task_continues_the_conversation(stack: Stack, openai_server: OpenAIServer) -> None:
    openai_server.play([Answer(text="Paris."), Answer(text="About two million.")])
    first = stack.run("Capital of France?")
    second = stack.run("How many live there?", thread_id=first.thread_id)
    assert second.stop_reason == "completed"
    asked = read_requests(openai_server.requests)[-1]
    assert asked.roles == ["system", "user", "assistant", "user"]
    assert [message.text for message in asked.messages[1:]] == ["Capital of France?", "Paris.", "How many live there?"]
    thread = stack.http.get(f"/api/agent/{first.thread_id}").json()
    assert (thread["run_count"], thread["last_run_id"]) == (2, second.run_id)
    listed = stack.http.get(f"/api/agent/{first.thread_id}/runs").json()["items"]
    assert [run["run_id"] for run in listed] == [second.run_id, first.run_id]


def test_the_threads_context_goes_with_the_first_task_only(stack: Stack, openai_server: OpenAIServer) -> None:
    openai_server.play([Answer(text="Noted."), Answer(text="Again.")])
    thread_id = stack.initiate(context={"customer": "ACME-4711"})
    stack.run("One", thread_id=thread_id)
    stack.run("Two", thread_id=thread_id)
    first, second = read_requests(openai_server.requests)
    assert "ACME-4711" in first.messages[1].text
    assert "ACME-4711" not in second.messages[-1].text


def test_tasks_queued_after_an_active_run_follow_in_order(stack: Stack, openai_server: OpenAIServer) -> None:
    openai_server.play([SLOW, Answer(text="Second."), Answer(text="Third.")])
    thread_id = stack.initiate()
    answers = [stack.post_task(thread_id, task) for task in ("One", "Two", "Three")]
    assert [answer["status"] for answer in answers] == ["processing", "pending", "pending"]
    runs = [stack.follow(thread_id, answer["run_id"]) for answer in answers]
    assert [run.stop_reason for run in runs] == ["completed"] * 3
    assert_read_whole([event for run in runs for event in run.events], stack.log(thread_id))
    asked = read_requests(openai_server.requests)
    assert [len(request.messages) for request in asked] == [2, 4, 6]
    assert stack.http.get(f"/api/agent/{thread_id}").json().get("active_run_id", "") == ""


def test_until_completion_stays_for_the_runs_that_wait(stack: Stack, openai_server: OpenAIServer) -> None:
    openai_server.play([SLOW, Answer(text="Second.")])
    thread_id = stack.initiate()
    runs = [stack.execute(thread_id, task) for task in ("One", "Two")]
    with stack.frames(f"/api/agent/{thread_id}/stream", until="completion") as frames:
        seen = [LogEvent.of(frame) for frame in frames if frame.id is not None]
    assert_read_whole(seen, stack.log(thread_id))
    assert [stack.record(thread_id, run).status for run in runs] == [RunStatus.COMPLETED] * 2


def test_reject_refuses_a_task_while_another_is_active(stack: Stack, openai_server: OpenAIServer) -> None:
    openai_server.play([SLOW, Answer(text="Now I can.")])
    thread_id = stack.initiate()
    run_id = stack.execute(thread_id, "One")
    body = {"task": "Two", "on_busy": "reject"}
    refused = stack.http.post(f"/api/agent/{thread_id}/execute", json=body)
    assert refused.status_code == 409
    assert refused.json()["code"] == "thread_busy"
    stack.follow(thread_id, run_id)
    assert stack.run("Two", thread_id=thread_id, on_busy="reject").stop_reason == "completed"
    assert stack.http.get(f"/api/agent/{thread_id}").json()["run_count"] == 2


def test_the_same_idempotency_key_gives_the_same_run(stack: Stack, openai_server: OpenAIServer) -> None:
    openai_server.play([SLOW, Answer(text="Another.")])
    thread_id, key = stack.initiate(), {"Idempotency-Key": "order-17"}
    answers = [stack.post_task(thread_id, "Pay", headers=key) for _ in range(3)]
    assert len({answer["run_id"] for answer in answers}) == 1
    assert len({answer["created_at"] for answer in answers}) == 1
    run = stack.follow(thread_id, answers[0]["run_id"])
    assert run.stop_reason == "completed"
    late = stack.post_task(thread_id, "Pay", headers=key)
    assert (late["run_id"], late["status"]) == (run.run_id, "completed")
    other = stack.run("Pay again", thread_id=thread_id)
    assert other.run_id != run.run_id
    assert len(openai_server.requests) == 2


def test_a_job_delivered_five_times_runs_once(stack: Stack, openai_server: OpenAIServer) -> None:
    openai_server.play([PLAN, Answer(calls=(Call(name="bash", arguments={"cmd": "echo x >> log"}),)), SLOW])
    thread_id = stack.initiate()
    run_id = stack.execute(thread_id, "Work once")
    with Celery(broker=stack.broker.url, set_as_current=False) as producer:
        for _ in range(5):
            producer.send_task(EXECUTE_RUN_TASK, args=[thread_id, run_id])
        run = stack.follow(thread_id, run_id)
        producer.send_task(EXECUTE_RUN_TASK, args=[thread_id, run_id])
        wait_until(lambda: stack.broker.waiting() == 0, "every message is taken")
    assert run.stop_reason == "completed"
    assert run.record.attempts == 1
    assert len(openai_server.requests) == 3
    assert (stack.workspace(thread_id) / "log").read_text() == "x\n"
    assert stack.log(thread_id)[-1] == run.completion


def test_a_worker_takes_no_more_jobs_than_it_has_slots(fresh_stack: FreshStack, openai_server: OpenAIServer) -> None:
    wait = Answer(calls=(Call(name="bash", arguments={"cmd": "touch begun; until [ -e go ]; do sleep 0.05; done"}),))
    openai_server.play([PLAN, PLAN, wait, wait, PLAN, wait, Answer(text="Done.", times=0)])
    stack = fresh_stack(modems=2, BAUD_MODEM__CONCURRENCY="1")
    threads = [stack.initiate() for _ in range(3)]
    runs = [stack.execute(thread_id, "Take your time") for thread_id in threads]
    begun = [stack.workspace(thread_id) / "begun" for thread_id in threads]
    wait_until(lambda: sum(path.exists() for path in begun) == 2, "each worker has one run")
    wait_until(lambda: (stack.broker.unacknowledged(), stack.broker.waiting()) == (2, 1), "the third job waits")
    for path in begun:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_name("go").touch()
    for thread_id, run_id in zip(threads, runs, strict=True):
        assert stack.follow(thread_id, run_id).record.attempts == 1


def test_many_threads_at_once_do_not_disturb_each_other(stack: Stack, openai_server: OpenAIServer) -> None:
    names = [f"thread number {number:02}" for number in range(12)]
    openai_server.play([Answer(text=f"This is {name}.", when=name, delay=0.02) for name in names])
    threads = [stack.initiate() for _ in names]
    runs = [stack.execute(thread_id, name) for thread_id, name in zip(threads, names, strict=True)]
    for thread_id, run_id, name in zip(threads, runs, names, strict=True):
        run = stack.follow(thread_id, run_id)
        assert run.of_kind("assistant_response")[0].result("assistant_response_result") == f"This is {name}."
        assert {event.data.thread_id for event in run.events if not is_text(event)} == {thread_id}
        assert {event.data.run_id for event in run.events} == {run_id}


def test_a_thread_deleted_while_it_works_is_gone(stack: Stack, openai_server: OpenAIServer) -> None:
    openai_server.play([SLOW])
    thread_id = stack.initiate()
    stack.execute(thread_id, "Talk")
    wait_until_asked(openai_server)
    assert stack.http.delete(f"/api/agent/{thread_id}").status_code == 204
    assert stack.http.get(f"/api/agent/{thread_id}").status_code == 404
    wait_until(lambda: not list(stack.redis.scan_iter(f"thread:{thread_id}:*")), "nothing of it is left")
    openai_server.play([Answer(text="Still here.")])
    assert stack.run("Are you there?").stop_reason == "completed"
    assert not list(stack.redis.scan_iter(f"thread:{thread_id}:*"))
