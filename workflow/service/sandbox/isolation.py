"""The Isolation port: how a command is isolated; and the environment and limits of every kind of isolation."""

import os
import resource
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from shared.config import SandboxConfig
from workflow.service.sandbox.base import Command
from workflow.service.sandbox.folders import SandboxFolders
from workflow.service.sandbox.spawn import Spawn

_OPEN_FILES: Final = 4096  # enough for bundlers that watch a tree; the usual soft limit of 1024 is not
SYSTEM_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# A limit as POSIX shells call it, and how many bytes one of its units has.
_ULIMITS: Final = {"data": ("d", 1024), "fsize": ("f", 512), "nofile": ("n", 1), "core": ("c", 1)}


class Isolation(Protocol):
    """Turns a command into what is started on the host."""

    @property
    def opens_ports(self) -> bool:
        """Whether a server inside can be reached from the host."""

    def shown_workspace(self, folders: SandboxFolders) -> str:
        """Return the workspace's path as commands inside see it."""

    def prepare(self, folders: SandboxFolders) -> None:
        """Make the thread's folders and what else the commands need. Blocks: call it in a thread."""

    def spawn(self, folders: SandboxFolders, command: Command, cwd: tuple[str, ...]) -> Spawn:
        """Return what to start; `cwd` is confined and exists. Raises ValueError for an unusable environment."""


def search_path(env: Mapping[str, str]) -> tuple[str, ...]:
    """Return the worker's PATH for commands: absolute folders, its own virtual environment replaced by its base.

    A command that could write to that environment would change the worker itself.
    """
    own = os.path.join(sys.prefix, "bin") if sys.prefix != sys.base_prefix else None
    base = os.path.join(sys.base_prefix, "bin")
    entries = [base if entry == own else entry for entry in env.get("PATH", SYSTEM_PATH).split(os.pathsep)]
    return tuple(dict.fromkeys(entry for entry in entries if os.path.isabs(entry)))


def with_programs(env: Mapping[str, str], folder: str) -> dict[str, str]:
    """Return the worker's environment with this folder first on PATH, for commands that may see that PATH."""
    return {**env, "PATH": os.pathsep.join((folder, env["PATH"]))} if "PATH" in env else dict(env)


def command_environment(
    config: SandboxConfig, env: Mapping[str, str], command: Command, *, path: Sequence[str], home: str, temporary: str
) -> dict[str, str]:
    """Return the environment of a command: of the worker's variables only those that `env_allow` names."""
    for name in command.env:
        if not name or "=" in name or "\0" in name:
            raise ValueError(f"{name!r} cannot be the name of an environment variable")
    allowed = {name: env[name] for name in config.env_allow if name in env}
    basic = {
        "PATH": os.pathsep.join((f"{home}/.local/bin", *path)),
        "HOME": home,
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "TMPDIR": temporary,
    }
    return basic | allowed | dict(command.env)


def limits_argv(config: SandboxConfig, *, count_processes: bool, programs: str = SYSTEM_PATH) -> tuple[str, ...]:
    """Return the argv prefix with which a command runs under the resource limits.

    prlimit(1) rather than preexec_fn, which can deadlock in a process with threads; where there is none, a shell's
    ulimit. Memory is limited by RLIMIT_DATA: under RLIMIT_AS no node program can start WebAssembly, which reserves
    address space that it never uses. `count_processes` only where the kernel counts the command's own processes:
    in a user namespace. The kernel never holds root to that limit, so a worker should not be root.
    """
    limits = {
        "data": _allowed(config.memory_bytes, resource.RLIMIT_DATA),
        "fsize": _allowed(config.max_file_bytes, resource.RLIMIT_FSIZE),
        "nofile": _allowed(_OPEN_FILES, resource.RLIMIT_NOFILE),
        "core": 0,
    }
    if count_processes:
        limits["nproc"] = _allowed(config.max_processes, resource.RLIMIT_NPROC)
    program = shutil.which("prlimit", path=programs)
    if program is None:
        return ("/bin/sh", "-c", _ulimits(limits), "sh")
    return (program, *(f"--{name}={limit}" for name, limit in limits.items()), "--")


def _ulimits(limits: Mapping[str, int]) -> str:
    """Return a script that sets the limits and becomes the command; shells differ in how they call processes."""
    set_limits = [
        f"ulimit -{_ULIMITS[name][0]} {limit // _ULIMITS[name][1]}" for name, limit in limits.items() if name != "nproc"
    ]
    if "nproc" in limits:
        set_limits.append(f"{{ ulimit -u {limits['nproc']} || ulimit -p {limits['nproc']}; }} 2>/dev/null")
    return " && ".join((*set_limits, 'exec "$@"'))


def _allowed(wanted: int, kind: int) -> int:
    """A limit can only be lowered: asking for more than the worker itself has would fail every command."""
    hard = resource.getrlimit(kind)[1]
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


def is_below(path: Path, folder: Path) -> bool:
    """Whether the path is the folder itself or in it."""
    return path == folder or folder in path.parents
