"""Process isolation: an empty environment, resource limits and an own session, and nothing else. Not for production."""

import logging
import os
import shutil
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from shared.config import SandboxConfig
from workflow.service.sandbox.base import Command
from workflow.service.sandbox.folders import SandboxFolders
from workflow.service.sandbox.isolation import (
    SYSTEM_PATH,
    command_environment,
    limits_argv,
    search_path,
    with_programs,
)
from workflow.service.sandbox.marker import MARKER_VARIABLE, Marker, kill_left_over
from workflow.service.sandbox.spawn import Spawn

logger = logging.getLogger(__name__)

_EXEC_DYING: Final = Path(__file__).with_name("exec_dying.py")


class ProcessIsolation:
    """Commands run as the worker's user and see what it sees; this prevents accidents only."""

    def __init__(self, config: SandboxConfig, env: Mapping[str, str], ripgrep: str | None = None) -> None:
        self._config = config
        self._ripgrep = ripgrep
        self._env = env
        self._path = search_path(env)
        # No limit on processes: outside a namespace it counts everything that this user runs.
        self._limits = (*_dying_with_worker(), *limits_argv(config, count_processes=False))

    @property
    def opens_ports(self) -> bool:
        """The network is the host's; a closed one is refused, as nothing here could keep it closed."""
        return True

    def shown_workspace(self, folders: SandboxFolders) -> str:
        """Return the real path: commands see the host."""
        return str(folders.workspace)

    def prepare(self, folders: SandboxFolders) -> None:
        """Make the folders, and one that holds nothing but our ripgrep: the one it lies in is the worker's own.

        First of all end what a dead worker left running in them.
        """
        if left := kill_left_over(folders.base):
            logger.warning("%d processes of a dead worker still ran in sandbox %s: ended", left, folders.base.name)
        folders.create()
        if self._ripgrep is not None:
            folders.programs.mkdir(exist_ok=True)
            with suppress(FileExistsError):
                (folders.programs / "rg").symlink_to(self._ripgrep)

    def spawn(self, folders: SandboxFolders, command: Command, cwd: tuple[str, ...]) -> Spawn:
        """Return the command under its limits, marked so that what leaves its group is found."""
        marker = str(Marker.new(folders.base))
        programs = str(folders.programs)
        env = command_environment(
            self._config,
            with_programs(self._env, programs) if self._ripgrep else self._env,
            command,
            path=(programs, *self._path) if self._ripgrep else self._path,
            home=str(folders.home),
            temporary=str(folders.temporary),
        )
        return Spawn(
            argv=(*self._limits, *command.argv),
            cwd=folders.workspace.joinpath(*cwd),
            env=env | {MARKER_VARIABLE: marker},
            marker=marker,
        )


def _dying_with_worker() -> tuple[str, ...]:
    """Return the argv prefix with which the command dies with this worker; its children are found by their mark."""
    program = shutil.which("setpriv", path=SYSTEM_PATH)
    if program is not None:
        return (program, "--pdeathsig", "KILL", "--")
    return (sys.executable, "-ISE", str(_EXEC_DYING), str(os.getpid()))
