"""The background processes of one sandbox: started with a log, watched, stopped on request or with the sandbox."""

import asyncio
import os
from contextlib import ExitStack, suppress
from pathlib import PurePosixPath
from typing import Final

from workflow.errors import SandboxError
from workflow.service.sandbox.base import BackgroundProcess
from workflow.service.sandbox.run_command import GRACE_SECONDS, Watch, start_failure
from workflow.service.sandbox.spawn import Spawn, SpawnedProcess, spawn_process
from workflow.service.sandbox.workspace_files import WorkspaceFiles

_LOG_FOLDER: Final = ".baud/logs"
_RUNNING_FOLDER: Final = ".baud/running"
_IGNORE_FILE: Final = ".baud/.gitignore"  # the agent commits with `git add -A`
_EARLY_END_SECONDS: Final = 0.5  # long enough for a wrong option or a taken port to show
_STOP_POLL_SECONDS: Final = 1.0


class BackgroundProcesses:
    """Owns the processes that outlive a call; `close` ends them all."""

    def __init__(self, files: WorkspaceFiles, watch: Watch) -> None:
        self._files = files
        self._around = watch
        self._watchers: set[asyncio.Task[None]] = set()

    async def start(self, spawn: Spawn) -> BackgroundProcess:
        """Start it with its output going to a new log; raises SandboxError when it cannot be started.

        Its number means nothing to a command in another process namespace, so that each process has a
        file whose removal stops it.
        """
        try:
            log, log_path = await asyncio.to_thread(self._files.new_numbered, _LOG_FOLDER, ".log")
        except OSError as error:
            raise SandboxError(start_failure(error).output.strip()) from error
        running_path = f"{_RUNNING_FOLDER}/{PurePosixPath(log_path).stem}"
        notes = {running_path: b"Remove this file to stop the process.\n", _IGNORE_FILE: b"*\n"}
        with ExitStack() as when_it_fails:
            when_it_fails.callback(os.close, log)
            try:
                await asyncio.to_thread(self._files.write, notes)
                process = await spawn_process(spawn, log)
            except (OSError, ValueError) as error:
                raise SandboxError(start_failure(error).output.strip()) from error
            when_it_fails.pop_all()
        watcher = asyncio.create_task(self._watch(process, log, running_path))
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)
        await asyncio.wait({watcher}, timeout=_EARLY_END_SECONDS)
        return BackgroundProcess(process.pid, log_path, process.exit_code, f"rm {running_path}")

    async def close(self) -> None:
        """End all of them, with the grace to end by themselves."""
        watchers = list(self._watchers)
        for watcher in watchers:
            watcher.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)

    async def _watch(self, process: SpawnedProcess, log: int, running_path: str) -> None:
        """Wait for its end or the removal of its file; then end all that is left of it and say so in the log."""
        try:
            with self._around(process):
                while process.exit_code is None and await asyncio.to_thread(self._files.exists, running_path):
                    with suppress(TimeoutError):
                        await asyncio.wait_for(process.wait(), _STOP_POLL_SECONDS)
        finally:
            await process.end(GRACE_SECONDS)
            await asyncio.to_thread(_write_end, log, process)
            await asyncio.to_thread(self._files.remove, running_path)


def _write_end(log: int, process: SpawnedProcess) -> None:
    reason = f"{process.stopped_because}\n" if process.stopped_because else ""
    with suppress(OSError), open(log, "ab") as file:  # a full disk, or a log at the largest size of a file
        file.write(f"\n{reason}[the process ended with exit code {process.exit_code}]\n".encode())
