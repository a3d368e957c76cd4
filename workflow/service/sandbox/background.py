"""The background processes of one sandbox: started with a log, watched, stopped on request or with the sandbox."""

import asyncio
import os
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from workflow.errors import SandboxError
from workflow.service.sandbox.base import BackgroundProcess
from workflow.service.sandbox.helper_process import open_inside
from workflow.service.sandbox.run_command import GRACE_SECONDS, Watch, start_failure
from workflow.service.sandbox.spawn import Spawn, SpawnedProcess, spawn_process
from workflow.service.sandbox.workspace_files import WorkspaceFiles

_LOG_FOLDER: Final = ".baud/logs"
_RUNNING_FILE: Final = ".baud/running/{n}"
_RUNNING_NOTE: Final = "Remove this file to stop the process.\n"
_IGNORE_FILE: Final = ".baud/.gitignore"  # the agent commits with `git add -A`
_EARLY_END_SECONDS: Final = 0.5  # long enough for a wrong option or a taken port to show
_STOP_POLL_SECONDS: Final = 1.0


class BackgroundProcesses:
    """Owns the processes that outlive a call; `close` ends them all."""

    def __init__(self, files: WorkspaceFiles, root: Path, watch: Watch) -> None:
        self._files = files
        self._root = root
        self._around = watch
        self._watchers: set[asyncio.Task[None]] = set()

    async def start(self, spawn: Spawn) -> BackgroundProcess:
        """Start it with its output going to a new log; raises SandboxError when it cannot be started.

        Its number means nothing to a command in another process namespace, so that each process has a
        file whose removal stops it.
        """
        try:
            begun = await self._files.begin_log(
                folder=_LOG_FOLDER, suffix=".log", running=_RUNNING_FILE, note=_RUNNING_NOTE, ignore_file=_IGNORE_FILE
            )
        except OSError as error:
            raise SandboxError(start_failure(error).output.strip()) from error
        *folder, name = begun["running_parts"]
        with ExitStack() as when_it_fails:
            log = open_inside(self._root, begun["parts"], os.O_WRONLY | os.O_APPEND)
            when_it_fails.callback(os.close, log)
            note = RunningNote(open_inside(self._root, folder, os.O_RDONLY | os.O_DIRECTORY), name)
            when_it_fails.callback(note.close)
            try:
                process = await spawn_process(spawn, log)
            except (OSError, ValueError) as error:
                raise SandboxError(start_failure(error).output.strip()) from error
            when_it_fails.pop_all()
        watcher = asyncio.create_task(self._watch(process, log, note))
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)
        await asyncio.wait({watcher}, timeout=_EARLY_END_SECONDS)
        return BackgroundProcess(process.pid, begun["path"], process.exit_code, f"rm {begun['running']}")

    async def close(self) -> None:
        """End all of them, with the grace to end by themselves."""
        watchers = list(self._watchers)
        for watcher in watchers:
            watcher.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)

    async def _watch(self, process: SpawnedProcess, log: int, note: "RunningNote") -> None:
        """Wait for its end or the removal of its note; then end its remaining processes and write so to its log."""
        try:
            with self._around(process):
                while process.exit_code is None and note.is_there():
                    with suppress(TimeoutError):
                        await asyncio.wait_for(process.wait(), _STOP_POLL_SECONDS)
        finally:
            try:
                await process.end(GRACE_SECONDS)
            finally:
                _write_end(log, process)
                note.close()


class RunningNote:
    """The file whose removal stops a process: checked in a folder that is held open, even if it is moved."""

    def __init__(self, folder: int, name: str) -> None:
        self._folder = folder
        self._name = name

    def is_there(self) -> bool:
        """Whether it still exists."""
        try:
            os.stat(self._name, dir_fd=self._folder, follow_symlinks=False)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Remove it if it is there, and let go of the folder."""
        with suppress(OSError):
            os.unlink(self._name, dir_fd=self._folder)
        os.close(self._folder)


def _write_end(log: int, process: SpawnedProcess) -> None:
    reason = f"{process.stopped_because}\n" if process.stopped_because else ""
    with suppress(OSError), open(log, "ab") as file:  # a full disk must not keep the process from being forgotten
        file.write(f"\n{reason}[the process ended with exit code {process.exit_code}]\n".encode())
