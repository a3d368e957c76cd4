"""The stack on a real Redis Cluster: runs on all nodes at once, and a dead node delays only its own."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, cast

import httpx
import pytest
from redis import Redis
from redis.cluster import RedisCluster

from shared.contract.run import StopReason
from shared.keys import OPEN_RUNS_INDEX, ThreadKeys
from tests.e2e.broker import RedisBroker
from tests.e2e.conftest import SMALL_MODEL, model_settings
from tests.e2e.event_log import EndedRun, LogEvent, assert_read_whole
from tests.e2e.service_process import wait_until
from tests.e2e.stack import Stack
from tests.e2e.test_takeover import assert_every_call_ended_once
from tests.fakes.openai_script import Answer, Call
from tests.fakes.openai_server import OpenAIServer
from tests.integration.cluster_processes import ClusterProcesses
from tests.integration.redis_process import RedisProcess

pytestmark = pytest.mark.timeout(150)

SETTINGS: Final = {
    "BAUD_REDIS__CLUSTER": "true",
    "BAUD_REDIS__CONNECT_TIMEOUT": "1",
    "BAUD_REDIS__COMMAND_TIMEOUT": "1",
    # Longer than a node is away, so that its runs stay where they are.
    "BAUD_MODEM__LEASE_SECONDS": "60",
    "BAUD_MODEM__RENEW_SECONDS": "1",
}
_PER_NODE: Final = 2
_LIMIT_SECONDS: Final = 60.0


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ClusterProcesses]:
    folder = tmp_path / "cluster"
    folder.mkdir()
    with ClusterProcesses(folder) as started:
        yield started


@pytest.fixture
def stack(
    cluster: ClusterProcesses, own_redis: RedisProcess, openai_server: OpenAIServer, tmp_path: Path
) -> Iterator[Stack]:
    settings = {**model_settings(openai_server, SMALL_MODEL), **SETTINGS}
    redis: Any = RedisCluster.from_url(cluster.url, decode_responses=True)
    broker = RedisBroker(own_redis.url)
    with Stack(cluster.url, tmp_path, settings, redis=cast(Redis, redis), broker=broker) as started:
        yield started


def stream_of(thread_id: str) -> str:
    return ThreadKeys(thread_id, is_hash_tagged=True).stream


def threads_by_node(stack: Stack, cluster: ClusterProcesses) -> dict[int, list[str]]:
    """Return new threads, as many on each node, by the node's port."""
    found: dict[int, list[str]] = {node.port: [] for node in cluster.nodes}
    while any(len(threads) < _PER_NODE for threads in found.values()):
        thread_id = stack.initiate()
        there = found[cluster.node_of(stream_of(thread_id)).port]
        if len(there) < _PER_NODE:
            there.append(thread_id)
    return found


def script(thread_id: str) -> list[Answer]:
    """Return the model's answers to a task that names the thread."""
    wait = "touch begun; until [ -e go ]; do sleep 0.05; done; echo done >> effects"
    plan, work = (
        Call(name="job_plan", arguments={"name": "wait", "plan": "wait"}),
        Call(name="bash", arguments={"cmd": wait}),
    )
    return [
        Answer(calls=(plan,), when=thread_id),
        Answer(calls=(work,), when=thread_id),
        Answer(text="Still running.", when=thread_id, times=0),
    ]


def read(stack: Stack, thread_id: str, run_id: str) -> list[LogEvent]:
    """Return a run's events as a client sees them that connects again from its last id whenever it is cut off."""
    seen: list[LogEvent] = []
    while not seen or not seen[-1].is_completion:
        path = f"/api/agent/{thread_id}/runs/{run_id}"
        wait_until(lambda path=path: stack.http.get(path).status_code == 200, "the run can be read", _LIMIT_SECONDS)  # type: ignore[misc]  # bound at once
        with (
            suppress(httpx.HTTPError),
            stack.frames(f"{path}/stream", after=seen[-1].id if seen else "") as frames,
        ):
            seen += (LogEvent.of(frame) for frame in frames if frame.id is not None)
    return seen


def assert_whole(stack: Stack, thread_id: str, run_id: str, seen: list[LogEvent]) -> None:
    assert_read_whole(seen, stack.log(stream_of(thread_id)))
    ended = EndedRun(thread_id, run_id, seen, stack.record(thread_id, run_id))
    assert (ended.stop_reason, ended.record.attempts) == (StopReason.COMPLETED, 1)
    assert_every_call_ended_once(ended)
    assert (stack.workspace(thread_id) / "effects").read_text() == "done\n"


@pytest.mark.parametrize("with_the_lists", [False, True], ids=["any node", "the node that lists runs"])
def test_streams_go_on_while_a_node_is_gone_and_its_own_after_it_is_back(
    cluster: ClusterProcesses, stack: Stack, openai_server: OpenAIServer, *, with_the_lists: bool
) -> None:
    threads = threads_by_node(stack, cluster)
    everywhere = [thread_id for there in threads.values() for thread_id in there]
    openai_server.play([answer for thread_id in everywhere for answer in script(thread_id)])
    runs = {thread_id: stack.execute(thread_id, f"Keep running in {thread_id}") for thread_id in everywhere}
    with ThreadPoolExecutor(len(everywhere)) as pool:
        reading: dict[str, Future[list[LogEvent]]] = {
            thread_id: pool.submit(read, stack, thread_id, run_id) for thread_id, run_id in runs.items()
        }
        for thread_id in everywhere:
            wait_until((stack.workspace(thread_id) / "begun").exists, "the command has begun", _LIMIT_SECONDS)
        lost = next(node for node in cluster.nodes if (node is cluster.node_of(OPEN_RUNS_INDEX)) is with_the_lists)
        lost.stop()
        for thread_id in everywhere:
            (stack.workspace(thread_id) / "go").touch()
        for thread_id in everywhere:
            if thread_id not in threads[lost.port]:
                assert_whole(stack, thread_id, runs[thread_id], reading[thread_id].result(_LIMIT_SECONDS))
        assert not any(reading[thread_id].done() for thread_id in threads[lost.port])
        lost.start()
        for thread_id in threads[lost.port]:
            assert_whole(stack, thread_id, runs[thread_id], reading[thread_id].result(_LIMIT_SECONDS))
    for thread_id in everywhere:
        assert stack.run("And now?", thread_id=thread_id).stop_reason == StopReason.COMPLETED
