"""The store on a real Redis Cluster of three masters: commands reach their node, a lost node affects only its keys."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from modem.service.lease.active_runs import ActiveRuns
from modem.service.legacy import OTHER_THREAD, accept_flow
from shared.contract.api import OnBusy
from shared.contract.principal import Principal, Scope
from shared.contract.run import RunJob, RunRecord, RunStatus
from shared.errors import ConfigurationError, StoreUnavailableError
from shared.keys import IDLE_CHANNEL, OPEN_RUNS_INDEX, WORKER_CHANNEL_PREFIX, run_thread, stream_ticket
from shared.store.cluster.notifications import ClusterSubscription
from shared.store.connection import check_connection, open_connection
from shared.store.leases import OpenRun, RenewalOutcome
from shared.store.presence import Presence, ThreadPresence
from shared.store.redis.notifications import Subscription
from shared.store.run_diagnosis import RunDiagnosisStore
from shared.store.run_values import Claim, SubmitOutcome
from shared.store.threads import ThreadStore
from shared.store.tickets import TicketKey, TicketLimits, TicketStore
from shared.store.workers import WorkerStore
from tests.fakes.fake_worker_run_store import FakeWorkerRunStore
from tests.fakes.scripted_model import says
from tests.integration.cluster_processes import ClusterProcesses
from tests.integration.cluster_scene import THREADS, TTL, Scene, config, open_scene
from tests.integration.redis_process import RedisProcess
from tests.integration.store_scene import end_of
from tests.integration.test_store_legacy import message
from tests.unit.modem.test_execute_run import FakeEngineBuilder, FakePublisher, services_with

_LIMIT_SECONDS = 60.0
_FOR_EVER = 3600.0  # no connection is reopened only because it received nothing
_DEAD_AFTER = 3.0
# As short as a busy machine allows: a master that gets no CPU time for so long is replaced.
_QUICK_TIMEOUT_MS = 2000


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterProcesses]:
    with ClusterProcesses(tmp_path_factory.mktemp("cluster")) as started:
        yield started


@pytest.fixture
async def scene(processes: ClusterProcesses) -> AsyncIterator[Scene]:
    processes.empty()
    async with open_scene(processes) as opened:
        yield opened


async def test_runs_of_threads_on_all_nodes_are_kept_as_on_one_server(scene: Scene) -> None:
    assert {scene.node_of(thread_id).port for thread_id in THREADS} == {node.port for node in scene.processes.nodes}
    claims = [await scene.claim(thread_id) for thread_id in THREADS]
    await asyncio.gather(*(scene.write(claim, 1) for claim in claims))
    assert await scene.leases.renew([claim.run for claim in claims], lease_seconds=60) == [RenewalOutcome.HELD] * 6
    inspected = await scene.leases.inspect(
        [RunJob(thread_id=each.run.thread_id, run_id=each.run.run_id) for each in claims]
    )
    assert [
        (run.status, run.is_active, run.lease_left_seconds > 50) for run in inspected if isinstance(run, OpenRun)
    ] == [(RunStatus.PROCESSING, True, True)] * 6
    diagnosis = await RunDiagnosisStore(scene.connection).read("a", "r-a")
    assert (diagnosis.is_active, diagnosis.last_event_at is not None) == (True, True)
    assert diagnosis.next_check_at is not None
    for claim in claims:
        assert await scene.runs.finish(claim.run, end_of(claim.run.run_id)) is not None
    assert await scene.count_entries(THREADS) == dict.fromkeys(THREADS, 2)
    page = await scene.events.page_with_first(scene.stream("a"), after="0-0", limit=10)
    assert [entry.is_final for entry in page.entries] == [False, True]
    assert (await scene.runs.find("r-d")).status is RunStatus.COMPLETED
    assert {record.thread_id for record in (await scene.threads.newest(cursor=None, limit=10)).items} == set(THREADS)
    for thread_id in THREADS:
        await scene.threads.delete(thread_id)
    assert (await scene.threads.newest(cursor=None, limit=10)).items == ()
    tombstones = {f"deleted:{{{thread_id}}}" for thread_id in THREADS}
    assert await _all_keys(scene.processes) == tombstones
    presence = ThreadPresence(scene.connection)
    assert await presence.inspect([*THREADS, "never"]) == [Presence.DELETED] * len(THREADS) + [Presence.ABSENT]
    assert await presence.identity() == ""
    await scene.threads.create("a")
    assert await presence.inspect(["a"]) == [Presence.STORED]
    assert await presence.identity()


async def _all_keys(processes: ClusterProcesses) -> set[str]:
    with processes.clients() as clients:
        return {key.decode() for client in clients for key in client.keys("*")}


async def test_tickets_are_on_all_nodes_and_the_oldest_of_a_user_go(scene: Scene) -> None:
    store = TicketStore(scene.connection, TicketLimits(60, 300, 3600, most=10))
    user = Principal("acme", "alice", frozenset({Scope.READ}), "key:1")
    keys = [TicketKey(str(number), "a") for number in range(20)]
    for key in keys:
        await store.issue(key, user, user, total_seconds=3600)
    await store.renew(keys)
    valid = [key for key in keys if await store.use(key) == user]
    assert (len(valid), await store.use(TicketKey(valid[0].digest, "b"))) == (10, None)
    assert len({scene.processes.node_of(stream_ticket(key.digest)).port for key in valid}) > 1


async def test_modems_are_counted_by_the_clock_of_their_node(scene: Scene) -> None:
    workers = WorkerStore(scene.connection)
    await workers.ping()
    await workers.report_alive("w", lifetime_seconds=60)
    assert await workers.count_alive() == 1
    assert await workers.find_risks() == []
    await workers.report_gone("w")
    assert await workers.count_alive() == 0


async def _receive(subscription: Subscription | ClusterSubscription, wanted: set[str]) -> None:
    """Return once each of these channels was notified."""
    left = set(wanted)
    async with asyncio.timeout(_LIMIT_SECONDS):
        while left:
            left -= set(await subscription.received())


async def test_notifications_of_all_nodes_are_received_on_one_subscription(scene: Scene) -> None:
    claims = [await scene.claim(thread_id) for thread_id in THREADS]
    channels = {scene.connection.keys(thread_id).channel for thread_id in THREADS}
    async with scene.notifications(dead_after_seconds=_FOR_EVER).open() as subscription:
        await subscription.watch(channels)
        await _receive(subscription, channels)
        for claim in claims:
            await scene.write(claim, 1)
        await _receive(subscription, channels)
        silent, *others = claims
        await subscription.forget([scene.connection.keys(silent.run.thread_id).channel])
        for claim in claims:
            await scene.write(claim, 2)
        await _receive(subscription, {scene.connection.keys(claim.run.thread_id).channel for claim in others})
        await subscription.ping()
        async with asyncio.timeout(_LIMIT_SECONDS):
            assert scene.connection.keys(silent.run.thread_id).channel not in await subscription.received()


async def test_a_workers_notification_is_received_from_any_node(scene: Scene) -> None:
    channel = f"{WORKER_CHANNEL_PREFIX}w"
    async with scene.connection.worker_notifications().open() as subscription:
        await subscription.watch([channel])
        await _receive(subscription, {IDLE_CHANNEL, channel})
        for thread_id in ("a", "b", "c"):
            claim = await scene.claim(thread_id)
            await scene.runs.cancel(claim.run, end_of(claim.run.run_id, RunStatus.CANCELLED))
            await _receive(subscription, {channel})


async def test_commands_and_notifications_follow_a_slot_that_moves(scene: Scene) -> None:
    claim = await scene.claim("a")
    channel, giver = scene.connection.keys("a").channel, scene.node_of("a")
    taker = next(node for node in scene.processes.nodes if node is not giver)
    scene.processes.give_slot(channel, taker)
    await scene.write(claim, 1)
    scene.processes.give_slot(channel, giver, giver=taker)
    async with scene.notifications(dead_after_seconds=_FOR_EVER).open() as subscription:
        await subscription.watch([channel])
        await _receive(subscription, {channel})
        scene.processes.give_slot(channel, taker)
        try:
            await scene.write(claim, 2)
            assert await scene.count_entries(["a"]) == {"a": 2}
            await _receive(subscription, {channel})
            # Received only when the subscription has moved too.
            await scene.write(claim, 3)
            await _receive(subscription, {channel})
        finally:
            scene.processes.give_slot(channel, giver, giver=taker)


async def test_a_slot_that_does_not_finish_moving_is_unavailable_as_a_lost_node_is(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    claim = await scene.claim("a")
    taker = next(node for node in scene.processes.nodes if node is not scene.node_of("a"))
    with scene.processes.half_moved(scene.stream("a"), taker):
        with pytest.raises(StoreUnavailableError, match="refuses to serve"):
            await scene.write(claim, 1)
        assert "Multiple keys request during rehashing of slot" in caplog.text
        outcomes = await scene.leases.renew([claim.run], lease_seconds=60)
        assert outcomes == [RenewalOutcome.UNKNOWN]
    await scene.write(claim, 1)
    assert await scene.count_entries(["a"]) == {"a": 1}


@pytest.mark.parametrize("way", ["killed", "hung"])
async def test_a_lost_node_delays_no_other_node(scene: Scene, way: str) -> None:
    claims = {thread_id: await scene.claim(thread_id) for thread_id in THREADS}
    lost = next(node for node in scene.processes.nodes if node is not scene.processes.node_of(OPEN_RUNS_INDEX))
    there = [thread_id for thread_id in THREADS if scene.node_of(thread_id) is lost]
    elsewhere = [thread_id for thread_id in THREADS if thread_id not in there]
    channels = {thread_id: scene.connection.keys(thread_id).channel for thread_id in THREADS}
    async with scene.notifications(dead_after_seconds=_DEAD_AFTER).open() as subscription:
        await subscription.watch(channels.values())
        await _receive(subscription, set(channels.values()))
        lost.stop() if way == "killed" else lost.pause()
        with pytest.raises(StoreUnavailableError):
            await scene.write(claims[there[0]], 1)
        runs = [claim.run for claim in claims.values()]
        outcomes = dict(zip(claims, await scene.leases.renew(runs, lease_seconds=600), strict=True))
        assert outcomes == {
            **dict.fromkeys(there, RenewalOutcome.UNKNOWN),
            **dict.fromkeys(elsewhere, RenewalOutcome.HELD),
        }
        for sequence in (1, 2, 3):
            for thread_id in elsewhere:
                await scene.write(claims[thread_id], sequence)
            await _receive(subscription, {channels[thread_id] for thread_id in elsewhere})
        assert await scene.count_entries(elsewhere) == dict.fromkeys(elsewhere, 3)
        await _submit_with_index_entry_on(lost, scene, claims[elsewhere[0]].run)
        lost.start() if way == "killed" else lost.resume()
        async with asyncio.timeout(_LIMIT_SECONDS):
            for thread_id in there:
                await _write_when_back(scene, claims[thread_id])
            # Their connection was reopened, or was never lost.
            await _receive(subscription, {channels[thread_id] for thread_id in there})
    assert await scene.count_entries(there) == dict.fromkeys(there, 1)
    scene.processes.wait_until_complete()


async def _submit_with_index_entry_on(lost: RedisProcess, scene: Scene, like: RunRecord) -> None:
    run_id = next(name for name in map(str, count()) if scene.processes.node_of(run_thread(name)) is lost)
    submitted = await scene.runs.submit(like.model_copy(update={"run_id": run_id}), on_busy=OnBusy.QUEUE)
    assert submitted.outcome is SubmitOutcome.QUEUED, "though nobody can find it by its id alone"


async def _write_when_back(scene: Scene, claim: Claim) -> None:
    while True:
        with suppress(StoreUnavailableError):
            await scene.write(claim, 1)
            return


async def test_a_replica_that_takes_over_is_found_and_notifies(tmp_path: Path) -> None:
    with ClusterProcesses(tmp_path, node_timeout_ms=_QUICK_TIMEOUT_MS, password="cluster/p@ss:1") as processes:
        lost = processes.node_of("thread:{b}:stream")
        processes.add_replica(lost)
        async with open_scene(processes) as scene:
            claim, channel = await scene.claim("b"), scene.connection.keys("b").channel
            async with scene.notifications(dead_after_seconds=_DEAD_AFTER).open() as subscription:
                await subscription.watch([channel])
                await _receive(subscription, {channel})
                processes.wait_for_replica(lost, "{b}")
                lost.stop()
                async with asyncio.timeout(_LIMIT_SECONDS):
                    await _write_when_back(scene, claim)
                await _receive(subscription, {channel})
                await scene.write(claim, 2)
                await _receive(subscription, {channel})
                assert await scene.count_entries(["b"]) == {"b": 2}


async def test_scripts_that_a_node_has_forgotten_are_sent_again(scene: Scene) -> None:
    claims = [await scene.claim(thread_id) for thread_id in THREADS]
    with scene.processes.clients() as clients:
        for client in clients:
            client.script_flush()
    assert await scene.leases.renew([claim.run for claim in claims], lease_seconds=60) == [RenewalOutcome.HELD] * 6
    await scene.connection.load_scripts()
    await scene.write(claims[0], 1)


async def test_a_legacy_message_for_a_thread_of_another_slot_is_refused_with_the_reason(scene: Scene) -> None:
    made = services_with(FakeWorkerRunStore(), ActiveRuns(), FakeEngineBuilder([says("Tea.")]), FakePublisher())
    services = replace(made, runs=scene.runs, keys=scene.connection.keys)
    await accept_flow(message("flow", "cross-slot", thread_id="a"), services, scene.threads)
    refused = await scene.runs.get("flow", "cross-slot")
    assert (refused.status, refused.message) == (RunStatus.FAILED, OTHER_THREAD)
    await accept_flow(message("flow", "same-slot"), services, scene.threads)
    assert (await scene.runs.get("flow", "same-slot")).status is RunStatus.COMPLETED
    for number in ("cross-slot", "same-slot"):
        legacy = await scene.events.page(f"stream:{{flow}}:{number}", after="0-0", limit=10)
        assert [entry.is_final for entry in legacy][-1:] == [True]
    await scene.threads.delete("flow")
    assert not await scene.events.exists("stream:{flow}:same-slot")


async def test_a_redis_that_is_no_cluster_is_refused_at_the_start(redis_url: str, processes: ClusterProcesses) -> None:
    with pytest.raises(ConfigurationError, match="not in cluster mode"):
        await check_connection(config(redis_url))
    await check_connection(config(processes.url))
    await check_connection(config("redis://127.0.0.1:1/0"))
    connection = open_connection(config(redis_url), retries=0)
    with pytest.raises(StoreUnavailableError, match="does not serve as one"):
        await ThreadStore(connection, ttl_seconds=TTL).get("a")
    await connection.aclose()
