"""The Celery app that gateway and modem share, and the tasks of the worker."""

import json
from collections.abc import Iterator

import pytest
from celery import Celery
from celery._state import get_current_app
from pydantic import SecretStr

from modem.service.dead_letter_box import DeadLetterBox
from modem.service.event_loop import LoopThread
from modem.service.lease.active_runs import ActiveRuns
from modem.service.runtime import Runtime
from modem.task.legacy import register_legacy_task
from modem.task.run import register_run_task
from shared.broker.address import VISIBILITY_TIMEOUT_SECONDS
from shared.broker.message import read_envelope
from shared.broker.queue import make_celery
from shared.config import ModemConfig, RedisConfig
from shared.contract.dead_letter import DeadLetter
from shared.contract.thread import ThreadRecord
from shared.errors import StoreUnavailableError
from shared.keys import EXECUTE_RUN_TASK, LEGACY_TASK
from shared.store.dead_letters import DeadLetterStore
from shared.store.threads import ThreadStore
from tests.fakes.fake_worker_run_store import FakeWorkerRunStore
from tests.unit.modem.test_execute_run import services_with
from tests.unit.workflow.runner.scene import NOW

FLOW = json.dumps({"flow_uuid": "f", "flow_input_uuid": "i", "context_data": [{"content": "tea"}]})
REDIS = RedisConfig(url=SecretStr("redis://127.0.0.1:6399/3"))


def make(**modem: object) -> Celery:
    return make_celery(ModemConfig.model_validate(modem), REDIS)


def test_the_app_speaks_json_only_acknowledges_late_and_takes_one_job_at_a_time() -> None:
    conf = make().conf
    assert (conf.task_serializer, conf.accept_content) == ("json", ["json"])
    assert (conf.task_acks_late, conf.task_reject_on_worker_lost) == (True, True)
    assert conf.worker_prefetch_multiplier == 1
    assert conf.task_ignore_result
    assert not conf.get("result_backend")


def test_the_app_is_not_the_current_one() -> None:
    app = make()
    assert get_current_app() is not app


def test_the_broker_is_redis_unless_another_is_named() -> None:
    app = make()
    assert app.conf.broker_url == "redis://127.0.0.1:6399/3"
    assert app.conf.broker_transport_options["visibility_timeout"] == VISIBILITY_TIMEOUT_SECONDS
    other = make(broker_url="amqp://guest@127.0.0.1//")
    assert other.conf.broker_url == "amqp://guest@127.0.0.1//"
    assert "visibility_timeout" not in other.conf.broker_transport_options


def test_no_run_outlasts_the_visibility_timeout_by_default() -> None:
    assert VISIBILITY_TIMEOUT_SECONDS > 3600.0 * 2


@pytest.mark.parametrize("queue", ["celery", "agents"])
def test_both_tasks_go_to_the_configured_queue(queue: str) -> None:
    app = make(queue=queue)
    assert list(app.amqp.queues) == [queue]
    for name in (EXECUTE_RUN_TASK, LEGACY_TASK):
        assert app.amqp.router.route({}, name)["queue"].name == queue


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    thread = LoopThread()
    thread.start()
    yield thread
    thread.stop()


class FakeThreadStore(ThreadStore):
    """Makes every thread, once Redis is back."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.asked = 0

    async def create(self, thread_id: str, **members: object) -> ThreadRecord:
        self.asked += 1
        if self.asked <= self.failures:
            raise StoreUnavailableError
        return ThreadRecord(thread_id=thread_id, created_at=NOW, updated_at=NOW)


class BrokenThreadStore(FakeThreadStore):
    """Has a fault."""

    async def create(self, thread_id: str, **members: object) -> ThreadRecord:
        raise ZeroDivisionError


class FakeDeadLetterStore(DeadLetterStore):
    """Keeps what was put aside."""

    def __init__(self) -> None:
        self.kept: list[DeadLetter] = []

    async def put(self, letter: DeadLetter) -> None:
        self.kept.append(letter)


def box(letters: FakeDeadLetterStore, loop: LoopThread) -> DeadLetterBox:
    return DeadLetterBox(letters, loop, worker_id="w", max_message_bytes=10**6)


class FakeRuntime(Runtime):
    """What the legacy task takes from a runtime."""

    def __init__(self, store: FakeWorkerRunStore, threads: FakeThreadStore) -> None:
        self.services = services_with(store, ActiveRuns())
        self.threads = threads


def test_a_run_task_tries_again_while_redis_is_away(loop: LoopThread) -> None:
    store = FakeWorkerRunStore()
    store.claim_failures = [StoreUnavailableError(), StoreUnavailableError()]
    app = make()
    register_run_task(app, loop, services_with(store, ActiveRuns()))
    assert app.tasks[EXECUTE_RUN_TASK].apply(args=("t", "r")).successful()
    assert len(store.claimed_by) == 3


def test_a_legacy_task_tries_again_while_redis_is_away(loop: LoopThread) -> None:
    app, threads = make(), FakeThreadStore(failures=1)
    register_legacy_task(app, loop, FakeRuntime(FakeWorkerRunStore(), threads), box(FakeDeadLetterStore(), loop))
    assert app.tasks[LEGACY_TASK].apply(args=(FLOW,)).successful()
    assert threads.asked == 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no JSON"),
        ("{", "no JSON"),
        ("[]", "no JSON object"),
        ('{"flow_uuid": ""}', "flow_uuid"),
        ('{"flow_uuid": "a:b", "flow_input_uuid": "i"}', "json_text: flow_uuid: must have 1 to 128 characters"),
        ('{"flow_uuid": "a", "flow_input_uuid": "i\\nERROR"}', "flow_input_uuid: must have"),
        ('{"flow_uuid": "a", "flow_input_uuid": "i", "x": ' + "[" * 120 + "]" * 120 + "}", "more than 100 levels"),
        ("[" * 100_000, "more than 100 levels"),
    ],
)
def test_a_legacy_message_that_cannot_be_read_is_put_aside(loop: LoopThread, text: str, reason: str) -> None:
    app, threads, letters = make(), FakeThreadStore(), FakeDeadLetterStore()
    register_legacy_task(app, loop, FakeRuntime(FakeWorkerRunStore(), threads), box(letters, loop))
    assert app.tasks[LEGACY_TASK].apply(args=(text,)).successful()
    assert threads.asked == 0
    (letter,) = letters.kept
    assert reason in letter.reason
    assert letter.is_cut or read_envelope(letter.message.encode(), max_bytes=10**6).arguments == (text,)


def test_a_legacy_message_that_fails_inside_is_put_aside_and_ends_nothing(loop: LoopThread) -> None:
    app, letters = make(), FakeDeadLetterStore()
    register_legacy_task(app, loop, FakeRuntime(FakeWorkerRunStore(), BrokenThreadStore()), box(letters, loop))
    assert app.tasks[LEGACY_TASK].apply(args=(FLOW,)).successful()
    assert [letter.reason for letter in letters.kept] == ["it could not be carried out: ZeroDivisionError"]


@pytest.mark.parametrize("flow_uuid", ["with spaces", "mit Umläuten ☂", "a/b", "x" * 128])
def test_ordinary_odd_legacy_ids_are_taken(loop: LoopThread, flow_uuid: str) -> None:
    app, threads, letters = make(), FakeThreadStore(), FakeDeadLetterStore()
    register_legacy_task(app, loop, FakeRuntime(FakeWorkerRunStore(), threads), box(letters, loop))
    message = json.dumps({"flow_uuid": flow_uuid, "flow_input_uuid": "i", "context_data": [{"content": "tea"}]})
    assert app.tasks[LEGACY_TASK].apply(args=(message,)).successful()
    assert (threads.asked, letters.kept) == (1, [])
