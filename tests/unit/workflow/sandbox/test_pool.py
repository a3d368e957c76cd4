"""The pool gives one sandbox per thread, stops idle ones, and survives sandboxes that fail to start."""

import asyncio

import pytest

from tests.fakes.fake_sandbox import FakeSandbox
from workflow.errors import SandboxUnavailableError
from workflow.service.sandbox.base import WorkspacePlace
from workflow.service.sandbox.pool import SandboxPool


class FakeIdleSandbox(FakeSandbox):
    """A fake sandbox that says how long it has been idle."""

    idle = 0.0

    def idle_seconds(self) -> float:
        return self.idle


class FakeProvider:
    """Makes fake sandboxes; `gate` holds creation back, `failures` makes the next ones fail."""

    def __init__(self) -> None:
        self.made: list[FakeIdleSandbox] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.failures = 0

    async def create(self, thread_id: str) -> FakeIdleSandbox:
        await self.gate.wait()
        if self.failures:
            self.failures -= 1
            raise SandboxUnavailableError("not now")
        self.made.append(FakeIdleSandbox(sandbox_id=thread_id))
        return self.made[-1]

    async def place(self, thread_id: str) -> WorkspacePlace:
        return WorkspacePlace("disk", has_files=thread_id in {sandbox.sandbox_id for sandbox in self.made})


@pytest.fixture
def provider() -> FakeProvider:
    return FakeProvider()


@pytest.fixture
def pool(provider: FakeProvider) -> SandboxPool:
    return SandboxPool(provider, idle_timeout_seconds=60)


async def test_concurrent_callers_of_a_thread_get_the_same_sandbox(pool: SandboxPool, provider: FakeProvider) -> None:
    first, second, other = await asyncio.gather(pool.get("t1"), pool.get("t1"), pool.get("t2"))
    assert first is second
    assert first is not other
    assert len(provider.made) == 2


async def test_a_cancelled_caller_leaves_the_start_to_the_others(pool: SandboxPool, provider: FakeProvider) -> None:
    provider.gate.clear()
    leaving, staying = asyncio.create_task(pool.get("t1")), asyncio.create_task(pool.get("t1"))
    await asyncio.sleep(0)
    leaving.cancel()
    provider.gate.set()
    assert (await staying).sandbox_id == "t1"
    assert leaving.cancelled()


async def test_a_failed_start_is_tried_again_at_the_next_call(pool: SandboxPool, provider: FakeProvider) -> None:
    provider.failures = 1
    with pytest.raises(SandboxUnavailableError, match="not now"):
        await pool.get("t1")
    assert (await pool.get("t1")).sandbox_id == "t1"


async def test_a_sweep_stops_only_what_is_idle_for_too_long(pool: SandboxPool, provider: FakeProvider) -> None:
    idle, busy = await pool.get("idle"), await pool.get("busy")
    provider.made[0].idle = 61
    await pool.sweep()
    assert [sandbox.closed for sandbox in provider.made] == [True, False]
    assert await pool.get("busy") is busy
    assert await pool.get("idle") is not idle


async def test_a_release_during_the_start_is_an_error_not_a_cancellation(
    pool: SandboxPool, provider: FakeProvider
) -> None:
    provider.gate.clear()
    starting = asyncio.create_task(pool.get("t1"))
    await asyncio.sleep(0)
    await pool.release("t1")
    with pytest.raises(SandboxUnavailableError, match="stopped while it started"):
        await starting


async def test_the_pool_knows_whose_sandboxes_it_holds_and_where_files_are(
    pool: SandboxPool, provider: FakeProvider
) -> None:
    await pool.get("t1")
    assert pool.held() == ["t1"]
    await pool.release("t1")
    assert pool.held() == []
    assert await pool.place("t1") == WorkspacePlace("disk", has_files=True)
    assert await pool.place("t2") == WorkspacePlace("disk", has_files=False)


async def test_a_closed_pool_stops_everything_and_starts_nothing(pool: SandboxPool, provider: FakeProvider) -> None:
    await pool.get("t1")
    await pool.close()
    assert provider.made[0].closed
    with pytest.raises(SandboxUnavailableError, match="stopping"):
        await pool.get("t1")
