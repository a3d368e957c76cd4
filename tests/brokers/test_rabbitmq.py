"""RabbitMQ as the broker: it goes away, hangs, closes channels that wait too long; no run is lost, no worker ends.

They need rabbitmq-server of the machine (make test-brokers).
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Final

import httpx
import pytest

from shared.contract.run import RunStatus, StopReason
from tests.e2e.broker import RabbitBroker, is_on_rabbitmq
from tests.e2e.conftest import model_settings
from tests.e2e.service_process import wait_until
from tests.e2e.stack import Stack
from tests.e2e.test_takeover import PLAN, SETTINGS, Watched, is_begun, shell, watched
from tests.fakes.openai_script import Answer
from tests.fakes.openai_server import OpenAIServer
from tests.integration.rabbit_process import RabbitProcess
from tests.integration.redis_process import RedisProcess

pytestmark = [pytest.mark.brokers, pytest.mark.timeout(400)]

_CONSUMER_TIMEOUT_MS: Final = 3000
_LIMIT_SECONDS: Final = 60.0
END = Answer(text="That was it.")
WORK = shell("touch begun; until [ -e go ]; do sleep 0.05; done")

StartStack = Callable[..., Stack]


@pytest.fixture(scope="module")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitProcess]:
    """A RabbitMQ that the tests may kill and pause; it allows an unacknowledged message for three seconds."""
    assert is_on_rabbitmq(), "make test-brokers runs these"
    timeout = {"consumer_timeout": str(_CONSUMER_TIMEOUT_MS)}
    process = RabbitProcess(tmp_path_factory.mktemp("rabbit"), settings=timeout, channel_tick_ms=500)
    try:
        process.start()
        yield process
    finally:
        process.stop()


_NUMBERS = count()


@pytest.fixture
def start_stack(
    rabbit: RabbitProcess, own_redis: RedisProcess, openai_server: OpenAIServer, tmp_path: Path
) -> Iterator[StartStack]:
    with ExitStack() as opened:

        def start(*, modems: int = 1, queue_type: str = "classic") -> Stack:
            wanted = {**model_settings(openai_server), **SETTINGS, "BAUD_GATEWAY__PUBLISH_TIMEOUT": "2"}
            broker = RabbitBroker(rabbit, f"own-{next(_NUMBERS)}", queue_type=queue_type)
            return opened.enter_context(Stack(own_redis.url, tmp_path, wanted, modems=modems, broker=broker))

        yield start


def wait_until_it_works(stack: Stack, run: Watched) -> None:
    run.until(is_begun)
    wait_until((stack.workspace(run.thread_id) / "begun").exists, "the command has begun", _LIMIT_SECONDS)


def is_idle(stack: Stack) -> bool:
    return stack.broker.unsettled() == 0


def let_go(stack: Stack, run: Watched) -> None:
    (stack.workspace(run.thread_id) / "go").touch()


def assert_refused(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json()["code"]) == (503, "broker_unavailable")
    assert int(answer.headers["retry-after"]) > 0


def test_a_run_outlasts_the_time_that_rabbitmq_waits_for_its_acknowledgement(
    start_stack: StartStack, openai_server: OpenAIServer
) -> None:
    openai_server.play([PLAN, WORK, END, END])
    stack = start_stack()
    (modem,) = stack.modems
    with watched(stack) as run:
        wait_until_it_works(stack, run)
        modem.wait_for("delivery acknowledgement on channel 1 timed out", _LIMIT_SECONDS)
        wait_until(lambda: is_idle(stack), "the message given out again is done with", _LIMIT_SECONDS)
        let_go(stack, run)
        ended = run.end()
    assert (ended.stop_reason, ended.record.attempts) == (StopReason.COMPLETED, 1)
    assert stack.run("Again", thread_id=run.thread_id).stop_reason == StopReason.COMPLETED
    assert not modem.has_ended()


@pytest.mark.parametrize("way", ["killed", "hung"])
def test_a_task_is_refused_while_rabbitmq_is_away_and_taken_again_afterwards(
    start_stack: StartStack, openai_server: OpenAIServer, rabbit: RabbitProcess, way: str
) -> None:
    openai_server.play([END])
    stack = start_stack()
    thread_id = stack.initiate()
    assert stack.http.get("/ready").json()["broker"] == "ready"
    if way == "killed":
        rabbit.kill()
    else:
        rabbit.pause()
    try:
        assert_refused(stack.http.post(f"/api/agent/{thread_id}/execute", json={"task": "Now"}))
        ready = stack.until_probed("/ready", broker="unavailable")
        assert (ready.status_code, ready.json()["redis"]) == (503, "ready")
        assert stack.http.get("/health").status_code == 200
        (refused,) = stack.http.get(f"/api/agent/{thread_id}/runs").json()["items"]
        assert refused["status"] == "failed"
        assert stack.http.get(f"/api/agent/{thread_id}").json().get("active_run_id", "") == ""
    finally:
        if way == "killed":
            rabbit.start()
        else:
            rabbit.resume()
    wait_until(lambda: stack.http.get("/ready").status_code == 200, "the broker is there again", _LIMIT_SECONDS)
    assert stack.run("Then", thread_id=thread_id).stop_reason == StopReason.COMPLETED
    assert stack.record(thread_id, refused["run_id"]).status is RunStatus.FAILED


def test_a_task_is_refused_while_rabbitmq_has_no_memory_for_it(
    start_stack: StartStack, openai_server: OpenAIServer, rabbit: RabbitProcess
) -> None:
    openai_server.play([END])
    stack = start_stack()
    thread_id = stack.initiate()
    rabbit.call("set_vm_memory_high_watermark", "0.0000001")
    try:
        assert_refused(stack.http.post(f"/api/agent/{thread_id}/execute", json={"task": "Now"}))
    finally:
        rabbit.call("set_vm_memory_high_watermark", "0.4")
    assert stack.run("Then", thread_id=thread_id).stop_reason == StopReason.COMPLETED


def test_a_run_goes_on_while_rabbitmq_is_away(
    start_stack: StartStack, openai_server: OpenAIServer, rabbit: RabbitProcess
) -> None:
    openai_server.play([PLAN, WORK, END, END])
    stack = start_stack()
    with watched(stack) as run:
        wait_until_it_works(stack, run)
        rabbit.kill()
        try:
            let_go(stack, run)
            ended = run.end()
        finally:
            rabbit.start()
    assert (ended.stop_reason, ended.record.attempts) == (StopReason.COMPLETED, 1)
    assert stack.run("Again", thread_id=run.thread_id).stop_reason == StopReason.COMPLETED
    wait_until(lambda: stack.broker.unacknowledged() == 0, "the message is done with", _LIMIT_SECONDS)


def test_a_task_that_was_taken_outlives_rabbitmq(
    start_stack: StartStack, openai_server: OpenAIServer, rabbit: RabbitProcess
) -> None:
    openai_server.play([END])
    stack = start_stack(modems=0)
    thread_id = stack.initiate()
    run_id = stack.execute(thread_id, "Later")
    rabbit.kill()
    rabbit.start()
    assert stack.broker.waiting() == 1
    stack.start_modem("late")
    assert stack.follow(thread_id, run_id).stop_reason == StopReason.COMPLETED


def test_a_replicated_queue_keeps_jobs_over_a_restart_of_rabbitmq(
    start_stack: StartStack, openai_server: OpenAIServer, rabbit: RabbitProcess
) -> None:
    openai_server.play([END, END])
    stack = start_stack(queue_type="quorum")
    first = stack.run("One")
    rabbit.kill()
    rabbit.start()
    wait_until(lambda: stack.http.get("/ready").status_code == 200, "the broker is there again", _LIMIT_SECONDS)
    second = stack.run("Two", thread_id=first.thread_id)
    assert (first.stop_reason, second.stop_reason) == (StopReason.COMPLETED, StopReason.COMPLETED)


def test_a_stopping_worker_ends_though_rabbitmq_hangs(
    start_stack: StartStack, openai_server: OpenAIServer, rabbit: RabbitProcess
) -> None:
    openai_server.play([PLAN, shell("sleep 600"), END])
    stack = start_stack()
    with watched(stack) as run:
        run.until(is_begun)
        (old,) = stack.modems
        rabbit.pause()
        try:
            old.send(signal.SIGTERM)
            assert old.wait(_LIMIT_SECONDS) == 0
        finally:
            rabbit.resume()
        stack.start_modem("successor")
        ended = run.end()
    assert (ended.stop_reason, ended.record.attempts, ended.record.crashes) == (StopReason.COMPLETED, 2, 0)
