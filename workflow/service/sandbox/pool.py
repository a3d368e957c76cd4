"""SandboxPool: one sandbox per thread, made on first use, stopped when idle."""

import asyncio

from workflow.errors import SandboxUnavailableError
from workflow.service.sandbox.base import Sandbox, WorkspacePlace
from workflow.service.sandbox.provider import PooledSandbox, SandboxProvider


class SandboxPool:
    """Owns the sandboxes of one worker."""

    def __init__(self, provider: SandboxProvider, *, idle_timeout_seconds: float) -> None:
        self._provider = provider
        self._idle_timeout_seconds = idle_timeout_seconds
        self._sandboxes: dict[str, asyncio.Task[PooledSandbox]] = {}
        self._is_closed = False

    async def get(self, thread_id: str) -> Sandbox:
        """Return the thread's sandbox; all callers get the same one. Raises SandboxUnavailableError."""
        if self._is_closed:
            raise SandboxUnavailableError("The worker is stopping; it starts no sandbox any more.")
        creating = self._sandboxes.get(thread_id)
        if creating is None:
            creating = asyncio.create_task(self._provider.create(thread_id))
            self._sandboxes[thread_id] = creating
            creating.add_done_callback(lambda task: self._forget_failure(thread_id, task))
        await asyncio.wait({creating})  # which leaves it to the others when this caller is cancelled
        if creating.cancelled():
            raise SandboxUnavailableError("The sandbox was stopped while it started. Ask for it again.")
        return creating.result()

    async def release(self, thread_id: str) -> None:
        """Stop what runs in the thread's sandbox; its files stay for the next `get`."""
        creating = self._sandboxes.pop(thread_id, None)
        if creating is not None:
            await _close(creating)

    def held(self) -> list[str]:
        """Return the threads that have a sandbox in this worker now."""
        return list(self._sandboxes)

    async def place(self, thread_id: str) -> WorkspacePlace:
        """Return where the thread's files are kept from here, without making any."""
        return await self._provider.place(thread_id)

    async def sweep(self) -> None:
        """Stop the sandboxes that nobody has used for the configured time."""
        idle = [thread_id for thread_id, creating in self._sandboxes.items() if self._is_idle(creating)]
        await asyncio.gather(*(self.release(thread_id) for thread_id in idle))

    async def close(self) -> None:
        """Stop all of them; the pool starts no more."""
        self._is_closed = True
        await asyncio.gather(*(self.release(thread_id) for thread_id in list(self._sandboxes)))

    def _is_idle(self, creating: asyncio.Task[PooledSandbox]) -> bool:
        if not creating.done() or creating.cancelled() or creating.exception() is not None:
            return False
        return creating.result().idle_seconds() > self._idle_timeout_seconds

    def _forget_failure(self, thread_id: str, creating: asyncio.Task[PooledSandbox]) -> None:
        failed = creating.cancelled() or creating.exception() is not None
        if failed and self._sandboxes.get(thread_id) is creating:
            del self._sandboxes[thread_id]


async def _close(creating: asyncio.Task[PooledSandbox]) -> None:
    """Close the sandbox, or give up its creation."""
    creating.cancel()
    await asyncio.wait({creating})
    if not creating.cancelled() and creating.exception() is None:
        await creating.result().close()
