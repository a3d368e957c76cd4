"""Workspaces are removed with their threads, and stay when the records of all threads are missing."""

import logging
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from modem.service.sweep_workspaces import WorkspaceSweeper
from shared.config import SandboxConfig
from shared.keys import THREAD_INDEX
from shared.store.presence import ThreadPresence
from shared.store.redis.connection import Connection
from tests.integration.sandbox.processes import eventually, is_running, unique_sleep
from tests.integration.store_scene import StoreScene, open_store
from workflow.service.sandbox.base import Command
from workflow.service.sandbox.folders import SandboxFolders
from workflow.service.sandbox.local_provider import LocalProvider
from workflow.service.sandbox.pool import SandboxPool
from workflow.service.sandbox.workspaces import Workspaces


class Sweeping:
    """A worker's disk with workspaces, and the sweeper over it."""

    def __init__(self, store: StoreScene, root: Path) -> None:
        self.store = store
        self.root = root
        self.presence = ThreadPresence(Connection(store.redis))
        self.workspaces = Workspaces(root)
        self.pool = self.new_pool()
        self.sweeper = self.new_sweeper(self.pool)

    def new_pool(self) -> SandboxPool:
        local = LocalProvider(SandboxConfig(), self.root, is_production=False, env=os.environ)
        return SandboxPool(local, idle_timeout_seconds=1800)

    def new_sweeper(self, pool: SandboxPool) -> WorkspaceSweeper:
        return WorkspaceSweeper(self.presence, self.workspaces, pool)

    async def thread(self, thread_id: str) -> None:
        """Make a thread with a workspace that no worker uses now."""
        await self.store.threads.create(thread_id)
        SandboxFolders.of_thread(self.root, thread_id).create(thread_id)

    async def expire(self, *thread_ids: str) -> None:
        for thread_id in thread_ids:
            await self.store.redis.delete(f"thread:{thread_id}:metadata")

    def grow_older(self, seconds: float) -> None:
        """Let so much time pass since the first checks."""
        earlier = time.time() - seconds
        for note in self.root.glob("*/absent"):
            os.utime(note, (earlier, earlier))

    def left(self) -> set[str]:
        return {workspace.thread_id for workspace in self.workspaces.all()}


@pytest.fixture
async def sweeping(redis_url: str, tmp_path: Path) -> AsyncIterator[Sweeping]:
    async with open_store(redis_url) as store:
        scene = Sweeping(store, tmp_path / "sandboxes")
        yield scene
        await scene.pool.close()


async def test_a_deleted_threads_sandbox_is_stopped_at_once_and_its_workspace_removed(sweeping: Sweeping) -> None:
    sleep = unique_sleep()
    await sweeping.thread("kept")
    await sweeping.thread("gone")
    sandbox = await sweeping.pool.get("gone")
    await sandbox.start(Command(argv=sleep))
    assert await eventually(lambda: is_running(sleep))
    await sweeping.sweeper.check_held()
    assert sweeping.left() == {"kept", "gone"}
    await sweeping.store.threads.delete("gone")
    await sweeping.sweeper.check_held()
    assert not is_running(sleep)
    assert sweeping.left() == {"kept"}
    assert await sweeping.workspaces.empty_trash()


@pytest.mark.parametrize("thread_id", ["gone", "../gone"])
async def test_a_deleted_threads_workspace_is_removed_by_any_worker_of_its_disk(
    sweeping: Sweeping, thread_id: str
) -> None:
    await sweeping.thread(thread_id)
    await sweeping.thread("kept")
    await sweeping.store.threads.delete(thread_id)
    await sweeping.sweeper.sweep()
    assert sweeping.left() == {"kept"}


async def test_a_workspace_that_another_worker_uses_is_left_to_it(sweeping: Sweeping) -> None:
    await sweeping.thread("gone")
    other = sweeping.new_pool()
    await other.get("gone")
    await sweeping.store.threads.delete("gone")
    await sweeping.sweeper.sweep()
    assert sweeping.left() == {"gone"}
    await sweeping.new_sweeper(other).check_held()
    assert sweeping.left() == set()
    await other.close()


async def test_a_thread_made_anew_after_its_deletion_keeps_its_workspace(sweeping: Sweeping) -> None:
    await sweeping.thread("again")
    await sweeping.store.threads.delete("again")
    await sweeping.store.threads.create("again")
    await sweeping.sweeper.sweep()
    assert sweeping.left() == {"again"}


async def test_an_expired_threads_workspace_is_removed_after_two_checks_an_hour_apart(sweeping: Sweeping) -> None:
    await sweeping.thread("expired")
    await sweeping.expire("expired")
    await sweeping.sweeper.sweep()
    sweeping.grow_older(3500)
    await sweeping.new_sweeper(sweeping.pool).sweep()
    assert sweeping.left() == {"expired"}
    sweeping.grow_older(3700)
    await sweeping.new_sweeper(sweeping.pool).sweep()
    assert sweeping.left() == set()


async def test_a_thread_that_is_back_at_the_second_check_is_kept(sweeping: Sweeping) -> None:
    await sweeping.thread("away")
    await sweeping.expire("away")
    await sweeping.sweeper.sweep()
    await sweeping.store.threads.create("away")
    await sweeping.sweeper.sweep()
    await sweeping.expire("away")
    sweeping.grow_older(3700)
    await sweeping.sweeper.sweep()
    assert sweeping.left() == {"away"}


async def test_an_empty_redis_removes_nothing_and_is_logged_once(
    sweeping: Sweeping, caplog: pytest.LogCaptureFixture
) -> None:
    await sweeping.thread("expired")
    await sweeping.expire("expired")
    await sweeping.sweeper.sweep()
    sweeping.grow_older(3700)
    await sweeping.store.redis.delete(THREAD_INDEX)
    with caplog.at_level(logging.ERROR):
        await sweeping.sweeper.sweep()
        await sweeping.sweeper.sweep()
    assert sweeping.left() == {"expired"}
    (message,) = caplog.messages
    assert "Redis holds no thread at all" in message


async def test_another_redis_begins_with_a_first_check(sweeping: Sweeping, monkeypatch: pytest.MonkeyPatch) -> None:
    await sweeping.thread("expired")
    await sweeping.expire("expired")
    await sweeping.sweeper.sweep()
    sweeping.grow_older(3700)

    async def another(_: ThreadPresence) -> str:
        return "another run id"

    with monkeypatch.context() as patch:
        patch.setattr(ThreadPresence, "identity", another)
        await sweeping.sweeper.sweep()
        assert sweeping.left() == {"expired"}
        sweeping.grow_older(3700)
        await sweeping.sweeper.sweep()
        assert sweeping.left() == set()


async def test_the_identity_is_that_of_the_running_server(sweeping: Sweeping) -> None:
    first = await sweeping.presence.identity()
    assert first
    assert await sweeping.presence.identity() == first
    assert first != (await sweeping.store.redis.info("server"))["run_id"]


async def test_more_than_a_tenth_is_never_removed_at_once(sweeping: Sweeping, caplog: pytest.LogCaptureFixture) -> None:
    threads = [f"t{number}" for number in range(30)]
    for thread_id in threads:
        await sweeping.thread(thread_id)
    await sweeping.expire(*threads[:11])
    await sweeping.sweeper.sweep()
    sweeping.grow_older(3700)
    with caplog.at_level(logging.ERROR):
        await sweeping.sweeper.sweep()
        await sweeping.sweeper.sweep()
    assert sweeping.left() == set(threads)
    (message,) = caplog.messages
    assert "11 of 30 workspaces would be removed at once" in message
    await sweeping.store.threads.create(threads[0])
    await sweeping.sweeper.sweep()
    assert sweeping.left() == {threads[0], *threads[11:]}
