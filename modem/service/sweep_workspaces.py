"""Removes the workspaces on this disk whose threads no longer exist; files of an existing thread are never removed.

The workspace of a deleted thread is removed at once. A thread that is merely absent may be back after Redis was
restored, emptied or replaced: it has to be absent in two checks of the same Redis, an hour apart, and only a few
workspaces are removed at once.
"""

import asyncio
import logging
from contextlib import suppress
from typing import Final

from shared.errors import StoreUnavailableError
from shared.store.presence import Presence, ThreadPresence
from workflow.service.sandbox.pool import SandboxPool
from workflow.service.sandbox.workspaces import Workspace, Workspaces

_log = logging.getLogger(__name__)

_HELD_CHECK_SECONDS: Final = 2.0  # how soon the running sandbox of a deleted thread is stopped
_HELD_CHECKS_PER_SWEEP: Final = 15
_TRY_AGAIN_SECONDS: Final = 60.0  # for files that could not be removed
_ABSENT_SECONDS: Final = 3600.0
_AT_ONCE_PART: Final = 10  # no more than a tenth of all workspaces expires at once
_AT_ONCE_FLOOR: Final = 10


class WorkspaceSweeper:
    """Each worker has one; each sweeps the whole disk that it shares with others."""

    def __init__(
        self,
        presence: ThreadPresence,
        workspaces: Workspaces,
        pool: SandboxPool,
        *,
        absent_seconds: float = _ABSENT_SECONDS,
    ) -> None:
        self._presence = presence
        self._workspaces = workspaces
        self._pool = pool
        self._absent_seconds = absent_seconds
        self._refused_because = ""

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            with suppress(StoreUnavailableError):
                await self.sweep()
            for _ in range(_HELD_CHECKS_PER_SWEEP):
                await asyncio.sleep(_HELD_CHECK_SECONDS)
                with suppress(StoreUnavailableError):
                    await self.check_held()

    async def empty_trash(self) -> None:
        """Remove the files of swept workspaces, until cancelled; apart, so that a large tree does not delay sweeps."""
        while True:
            is_empty = await self._workspaces.empty_trash()
            await asyncio.sleep(_HELD_CHECK_SECONDS if is_empty else _TRY_AGAIN_SECONDS)

    async def check_held(self) -> None:
        """Stop the sandboxes of deleted threads in this worker and remove their workspaces."""
        held = self._pool.held()
        deleted = {
            thread_id
            for thread_id, found in zip(held, await self._presence.inspect(held), strict=True)
            if found is Presence.DELETED
        }
        for thread_id in deleted:
            await self._pool.release(thread_id)
        if deleted:
            for workspace in await asyncio.to_thread(self._workspaces.all):
                if workspace.thread_id in deleted:
                    await self._remove(workspace, Presence.DELETED)

    async def sweep(self) -> None:
        """Check every workspace on this disk once."""
        await asyncio.to_thread(self._workspaces.end_left_over)
        await self.check_held()
        workspaces = await asyncio.to_thread(self._workspaces.all)
        found = await self._presence.inspect([workspace.thread_id for workspace in workspaces])
        by_presence: dict[Presence, list[Workspace]] = {presence: [] for presence in Presence}
        for workspace, presence in zip(workspaces, found, strict=True):
            by_presence[presence].append(workspace)
        for workspace in by_presence[Presence.DELETED]:
            await self._remove(workspace, Presence.DELETED)
        await asyncio.to_thread(self._forget_absence, by_presence[Presence.STORED])
        await self._expire(by_presence[Presence.ABSENT], len(workspaces))

    async def _expire(self, absent: list[Workspace], total: int) -> None:
        """Remove those that have been absent for long enough, unless Redis is empty or they are too many."""
        if not absent:
            self._refused_because = ""
            return
        identity = await self._presence.identity()
        if not identity:
            self._refuse("Redis holds no thread at all")
            return
        expired = await asyncio.to_thread(self._absent_for_long, absent, identity)
        if len(expired) > max(_AT_ONCE_FLOOR, total // _AT_ONCE_PART):
            self._refuse(f"{len(expired)} of {total} workspaces would be removed at once")
            return
        self._refused_because = ""
        for workspace in expired:
            await self._remove(workspace, Presence.ABSENT)

    def _refuse(self, reason: str) -> None:
        if reason != self._refused_because:
            _log.error(
                "no workspace of an expired thread is removed: %s. If this is the right Redis, remove the folders in"
                " sandbox.root that are not needed by hand",
                reason,
            )
        self._refused_because = reason

    def _absent_for_long(self, absent: list[Workspace], identity: str) -> list[Workspace]:
        return [
            workspace
            for workspace in absent
            if self._workspaces.absent_seconds(workspace, identity) >= self._absent_seconds
        ]

    def _forget_absence(self, stored: list[Workspace]) -> None:
        for workspace in stored:
            with suppress(OSError):
                self._workspaces.forget_absence(workspace)

    async def _remove(self, workspace: Workspace, expected: Presence) -> None:
        """Remove a workspace that no worker uses, if its thread is still gone once the workspace is locked."""
        lock = await asyncio.to_thread(self._workspaces.lock, workspace)
        if lock is None:
            return
        try:
            if await self._presence.inspect([workspace.thread_id]) == [expected]:
                await asyncio.to_thread(self._workspaces.discard, workspace)
                _log.info("the workspace of thread %s is removed: the thread is %s", workspace.thread_id, expected)
        except OSError as error:  # one failure must not stop the others
            _log.warning("the workspace of thread %s cannot be removed: %s", workspace.thread_id, error)
        finally:
            lock.release()
