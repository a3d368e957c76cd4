"""Workers die, hang and stop: another one takes over, and readers of the stream see one run with one end."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from shared.contract.event import ExecuteState
from shared.contract.run import RunStatus, StopReason
from tests.e2e.conftest import MODEL, SMALL_MODEL, FreshStack, model_settings
from tests.e2e.event_log import EndedRun, Frame, LogEvent, assert_read_whole
from tests.e2e.service_process import ServiceProcess, wait_until
from tests.e2e.stack import Stack
from tests.fakes.openai_script import Answer, Call
from tests.fakes.openai_server import OpenAIServer
from tests.integration.redis_process import RedisProcess

# As short as a busy machine allows: a worker that gets no CPU time for a lease loses its runs, rightly.
SETTINGS = {
    "BAUD_MODEM__LEASE_SECONDS": "4",
    "BAUD_MODEM__RENEW_SECONDS": "0.5",
    "BAUD_MODEM__DRAIN_TIMEOUT": "1.5",
    "BAUD_MODEM__MAX_CRASHES": "2",
}
PLAN = Answer(calls=(Call(name="job_plan", arguments={"name": "wait", "plan": "wait"}),))
END = Answer(text="That was it.")
HANG = Answer(text="I think about it for ever and ever.", hang_after=3, times=0)


def shell(command: str) -> Answer:
    return Answer(calls=(Call(name="bash", arguments={"cmd": command}),))


def is_begun(event: LogEvent) -> bool:
    return (event.kind, event.data.current_state) == ("tool_bash", ExecuteState.INIT)


def is_delta(event: LogEvent) -> bool:
    return event.kind == "assistant_delta"


class Watched:
    """One run as a client sees it, over one connection that is never opened again."""

    def __init__(self, stack: Stack, thread_id: str, run_id: str, frames: Iterator[Frame]) -> None:
        self.stack, self.thread_id, self.run_id = stack, thread_id, run_id
        self.events: list[LogEvent] = []
        self._frames = (LogEvent.of(frame) for frame in frames if frame.id is not None)

    def until(self, condition: Callable[[LogEvent], bool]) -> LogEvent:
        """Read on until an event fits, and return it."""
        for event in self._frames:
            self.events.append(event)
            if condition(event):
                return event
        raise AssertionError(f"the stream ended after {[event.kind for event in self.events]}")

    def owner(self) -> ServiceProcess:
        """Return the modem that executes the run now."""
        pid = int(str(self.stack.redis.hget(self._key, "owner")).split(":")[-2])
        return next(modem for modem in self.stack.modems if modem.pid == pid)

    def has_other_owner(self, modem: ServiceProcess) -> bool:
        """Whether another modem executes the run."""
        owner = self.stack.redis.hget(self._key, "owner")
        return owner is not None and str(owner).split(":")[-2] != str(modem.pid)

    def rest(self) -> list[LogEvent]:
        """Read to the end and return what came."""
        return list(self._frames)

    def end(self) -> EndedRun:
        """Read to the end; what the client saw has to be the log of this run."""
        self.events += self._frames
        log = self.stack.log(self.thread_id)
        assert_read_whole(self.events, [event for event in log if event.data.run_id == self.run_id])
        return EndedRun(self.thread_id, self.run_id, self.events, self.stack.record(self.thread_id, self.run_id))

    @property
    def _key(self) -> str:
        return f"thread:{self.thread_id}:run:{self.run_id}"


@contextmanager
def watched(stack: Stack, task: str = "Wait") -> Iterator[Watched]:
    thread_id = stack.initiate()
    run_id = stack.execute(thread_id, task)
    with stack.frames(f"/api/agent/{thread_id}/runs/{run_id}/stream") as frames:
        yield Watched(stack, thread_id, run_id, frames)


def attempts_announced(run: EndedRun) -> list[object]:
    return [event.result("status_result") for event in run.of_kind("status")]


def assert_every_call_ended_once(run: EndedRun) -> None:
    begun = [event.data.uuid for event in run.events if event.data.current_state is ExecuteState.INIT]
    ends = (ExecuteState.COMPLETE, ExecuteState.ERROR)
    ended = [event.data.uuid for event in run.events if event.data.current_state in ends and event.kind != "status"]
    assert len(begun) == len(set(begun))
    assert [ended.count(uuid) for uuid in begun] == [1] * len(begun)


@pytest.mark.brokers
def test_a_killed_worker_is_replaced_and_the_client_reads_on(
    fresh_stack: FreshStack, openai_server: OpenAIServer
) -> None:
    openai_server.play([PLAN, shell("echo once >> effects; sleep 20"), END])
    stack = fresh_stack(modems=2, BAUD_LLM__MODEL=MODEL, **SETTINGS)
    with watched(stack) as run:
        run.until(is_begun)
        effects = stack.workspace(run.thread_id) / "effects"
        wait_until(effects.exists, "the command has begun")
        run.owner().send(signal.SIGKILL)
        ended = run.end()
    assert ended.stop_reason == StopReason.COMPLETED
    assert attempts_announced(ended) == [{"status": "resumed", "attempt": 2}]
    assert (ended.record.attempts, ended.record.crashes) == (2, 1)
    assert_every_call_ended_once(ended)
    assert effects.read_text() == "once\n"
    asked = openai_server.requests[-1]["messages"]
    assert "may have been carried out fully, partly, or not at all" in str(asked)


@pytest.mark.brokers
def test_a_worker_that_hung_for_longer_than_its_lease_writes_nothing_more(
    fresh_stack: FreshStack, openai_server: OpenAIServer
) -> None:
    openai_server.play([PLAN, shell("sleep 1; echo too late"), END])
    # A worker that hangs for two leases ends itself: it is woken as soon as the other has taken over, after one lease,
    # and the second is what a busy machine has for the way there.
    stack = fresh_stack(modems=2, **{**SETTINGS, "BAUD_MODEM__LEASE_SECONDS": "12"})
    with watched(stack) as run:
        run.until(is_begun)
        old = run.owner()
        old.send(signal.SIGSTOP)
        try:
            run.until(lambda event: event.kind == "status")
        finally:
            old.send(signal.SIGCONT)
        ended = run.end()
    old.wait_for("nothing more is written")
    assert (ended.stop_reason, ended.record.attempts) == (StopReason.COMPLETED, 2)
    assert_every_call_ended_once(ended)
    assert_read_whole(ended.events, stack.log(run.thread_id))
    assert stack.record(run.thread_id, run.run_id) == ended.record
    assert stack.run("Again", thread_id=run.thread_id).record.attempts == 1, "the thread is free"


@pytest.mark.brokers
@pytest.mark.parametrize(
    ("script", "condition"),
    [([PLAN, shell("sleep 20"), END], is_begun), ([PLAN, HANG.model_copy(update={"times": 1}), END], is_delta)],
    ids=["in a tool", "in a model call"],
)
def test_a_stopping_worker_hands_its_run_over(
    fresh_stack: FreshStack, openai_server: OpenAIServer, script: list[Answer], condition: Callable[[LogEvent], bool]
) -> None:
    openai_server.play(script)
    stack = fresh_stack(modems=2, **SETTINGS)
    with watched(stack) as run:
        run.until(condition)
        old = run.owner()
        old.terminate()
        ended = run.end()
    assert old.wait() == 0
    assert ended.stop_reason == StopReason.COMPLETED
    assert (ended.record.attempts, ended.record.crashes) == (2, 0)
    assert attempts_announced(ended) == [{"status": "resumed", "attempt": 2}]
    assert_every_call_ended_once(ended)


def test_a_run_that_crashes_its_workers_is_given_up(fresh_stack: FreshStack, openai_server: OpenAIServer) -> None:
    openai_server.play([PLAN, HANG])
    stack = fresh_stack(modems=3, **SETTINGS)
    with watched(stack) as run:
        run.until(is_delta)
        first = run.owner()
        first.send(signal.SIGKILL)
        wait_until(lambda: run.has_other_owner(first), "another worker has the run")
        run.owner().send(signal.SIGKILL)
        ended = run.end()
    assert ended.stop_reason == StopReason.POISON
    assert (ended.record.status, ended.record.attempts, ended.record.crashes) == (RunStatus.FAILED, 3, 2)


def processes_of(marker: str) -> list[psutil.Process]:
    return [process for process in psutil.process_iter(["cmdline"]) if marker in (process.info["cmdline"] or [])]


@pytest.mark.brokers
def test_a_cancel_ends_the_running_command_and_the_run(stack: Stack, openai_server: OpenAIServer) -> None:
    marker = f"300.{os.getpid()}"
    openai_server.play([PLAN, shell(f"sleep {marker} & sleep {marker}"), END])
    with watched(stack) as run:
        run.until(is_begun)
        wait_until(lambda: bool(processes_of(marker)), "the command runs")
        for _ in range(2):
            answer = stack.http.post(f"/api/agent/{run.thread_id}/runs/{run.run_id}/cancel")
            assert answer.status_code == 202
        ended = run.end()
    wait_until(lambda: not processes_of(marker), "the command and its child are gone")
    assert (ended.stop_reason, ended.record.status) == (StopReason.CANCELLED, RunStatus.CANCELLED)
    assert ended.completion.data.error_flag is False
    assert_every_call_ended_once(ended)
    assert stack.http.post(f"/api/agent/{run.thread_id}/runs/{run.run_id}/cancel").json()["status"] == "cancelled"


@pytest.mark.brokers
def test_a_queued_run_is_cancelled_and_the_next_one_runs(stack: Stack, openai_server: OpenAIServer) -> None:
    openai_server.play([PLAN, shell("until [ -e go ]; do sleep 0.05; done"), END, END])
    with watched(stack) as run:
        run.until(is_begun)
        queued, last = (stack.execute(run.thread_id, task) for task in ("Never", "Last"))
        answer = stack.http.post(f"/api/agent/{run.thread_id}/runs/{queued}/cancel")
        assert (answer.status_code, answer.json()["status"]) == (202, "cancelled")
        never = stack.follow(run.thread_id, queued)
        assert [event.kind for event in never.events] == ["flow_completion"]
        assert never.stop_reason == StopReason.CANCELLED
        (stack.workspace(run.thread_id) / "go").touch()
        assert stack.follow(run.thread_id, last).stop_reason == StopReason.COMPLETED
    assert stack.record(run.thread_id, run.run_id).status is RunStatus.COMPLETED


@pytest.fixture
def durable_redis(tmp_path: Path) -> Iterator[RedisProcess]:
    """A Redis that keeps its data over a restart."""
    folder = tmp_path / "redis"
    folder.mkdir()
    process = RedisProcess(folder=folder)
    process.start()
    yield process
    process.stop()


def test_a_run_survives_a_restart_of_redis(
    durable_redis: RedisProcess, openai_server: OpenAIServer, tmp_path: Path
) -> None:
    slow = Answer(text="One after the other, and each of them slowly.", piece=2, delay=0.1)
    openai_server.play([PLAN, slow, slow, slow])
    with ExitStack() as opened:
        stack = opened.enter_context(
            Stack(durable_redis.url, tmp_path, {**model_settings(openai_server, SMALL_MODEL), **SETTINGS}, modems=2)
        )
        thread_id = stack.initiate()
        run_id = stack.execute(thread_id, "Tell")
        wait_until(lambda: any(is_delta(event) for event in stack.log(thread_id)), "the model streams text")
        durable_redis.terminate()
        durable_redis.start()
        wait_until(lambda: stack.record(thread_id, run_id).status.is_terminal, "the run has ended", 60)
        ended = stack.follow(thread_id, run_id)
    assert ended.stop_reason == StopReason.COMPLETED
    assert ended.of_kind("assistant_response")[-1].result("assistant_response_result") == slow.text
    assert len({event.id for event in ended.events}) == len(ended.events)
    assert_every_call_ended_once(ended)


def test_a_redis_outage_longer_than_a_lease_is_no_crash_of_the_run(
    fresh_stack: FreshStack, own_redis: RedisProcess, openai_server: OpenAIServer
) -> None:
    openai_server.play([PLAN, shell("sleep 30"), END])
    lease = {
        "BAUD_MODEM__LEASE_SECONDS": "1.5",
        "BAUD_MODEM__RENEW_SECONDS": "0.3",
        "BAUD_REDIS__COMMAND_TIMEOUT": "0.3",
    }
    stack = fresh_stack(modems=2, **{**SETTINGS, **lease, "BAUD_MODEM__MAX_CRASHES": "1"})
    with watched(stack) as run:
        run.until(is_begun)
        owner = run.owner()
        own_redis.pause()
        owner.wait_for("could not be renewed in time: stopping the run")
        own_redis.resume()
        ended = run.end()
    assert ended.stop_reason == StopReason.COMPLETED, "one crash would have been too many"
    assert (ended.record.attempts, ended.record.crashes) == (2, 0)
    assert_every_call_ended_once(ended)
