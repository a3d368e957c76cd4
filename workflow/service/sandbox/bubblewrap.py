"""Bubblewrap isolation: own namespaces, a read-only system, the workspace, and nothing else of the host."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Final

from shared.config import Network, SandboxConfig
from workflow.service.sandbox.base import Command
from workflow.service.sandbox.folders import SandboxFolders
from workflow.service.sandbox.host_view import system_arguments, tool_folders
from workflow.service.sandbox.isolation import command_environment, limits_argv, search_path, with_programs
from workflow.service.sandbox.run_command import run_command
from workflow.service.sandbox.spawn import Spawn

WORKSPACE: Final = "/workspace"
HOME: Final = "/home/agent"
_TEMPORARY: Final = "/tmp"  # noqa: S108 - the sandbox's own folder
_VAR_TEMPORARY: Final = "/var/tmp"  # noqa: S108 - leads to the same
_SHARED_MEMORY: Final = "/dev/shm"  # noqa: S108 - on disk too, see SandboxFolders.temporary
_USER_ID: Final = "1000"
_PROBE_SECONDS: Final = 10.0
_PROGRAMS: Final = "/run/baud/bin"  # beside the system's folders, which are read-only
_PASSWD: Final = f"agent:x:{_USER_ID}:{_USER_ID}:agent:{HOME}:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
_GROUP: Final = f"agent:x:{_USER_ID}:\nnogroup:x:65534:\n"
_NAMESPACES: Final = (
    "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try",
    "--uid", _USER_ID, "--gid", _USER_ID, "--hostname", "sandbox",
    "--cap-drop", "ALL", "--die-with-parent", "--new-session",
)  # fmt: skip
# /proc is read-only because a worker that is root could otherwise write /proc/sys from inside.
_OWN_FOLDERS: Final = (
    "--proc", "/proc", "--remount-ro", "/proc", "--dev", "/dev", "--remount-ro", "/dev",
    "--dir", "/run", "--symlink", _TEMPORARY, _VAR_TEMPORARY,
)  # fmt: skip


class BubblewrapIsolation:
    """Commands run in namespaces of their own, one set per command; `root` is hidden from all of them."""

    def __init__(
        self, program: str, config: SandboxConfig, root: Path, env: Mapping[str, str], *, ripgrep: str | None = None
    ) -> None:
        self._program = program
        self._config = config
        self._env = env
        home = Path(env.get("HOME") or "/root")
        path = search_path(env)
        tools = tool_folders(path, home, (root, home))
        self._path = tuple(entry for entry in path if os.path.isdir(entry))
        self._view = [*system_arguments(), *_OWN_FOLDERS]
        self._tools = [word for tool in tools for word in ("--ro-bind", str(tool), str(tool))]
        if ripgrep is not None:
            self._path = (_PROGRAMS, *self._path)
            self._env = with_programs(env, _PROGRAMS)
            self._tools += ["--ro-bind", ripgrep, f"{_PROGRAMS}/rg"]
        self._limits = limits_argv(config, count_processes=True)

    @property
    def opens_ports(self) -> bool:
        """Whether the network is the host's."""
        return self._config.network is Network.OPEN

    def shown_workspace(self, folders: SandboxFolders) -> str:
        """Return the one path at which every sandbox has its workspace."""
        return WORKSPACE

    def prepare(self, folders: SandboxFolders) -> None:
        """Make the folders, and the account files that hide those of the host."""
        folders.create()
        (folders.base / "passwd").write_text(_PASSWD)
        (folders.base / "group").write_text(_GROUP)

    def spawn(self, folders: SandboxFolders, command: Command, cwd: tuple[str, ...]) -> Spawn:
        """Return the bubblewrap call for the command; later mounts lie above earlier ones."""
        options = [
            *_NAMESPACES,
            *(() if self.opens_ports else ("--unshare-net",)),
            *self._view,
            *("--ro-bind", str(folders.base / "passwd"), "/etc/passwd"),
            *("--ro-bind", str(folders.base / "group"), "/etc/group"),
            *("--bind", str(folders.temporary), _TEMPORARY),
            *("--bind", str(folders.temporary), _SHARED_MEMORY),
            *self._tools,
            *("--bind", str(folders.home), HOME),
            *("--bind", str(folders.workspace), WORKSPACE),
            *("--remount-ro", "/"),  # what is left is a tmpfs: files in it would be memory without a limit
            *("--chdir", "/".join((WORKSPACE, *cwd))),
        ]
        for name, value in self._environment(command).items():
            options += ["--setenv", name, value]
        return Spawn(
            argv=(self._program, "--", *self._limits, *command.argv),
            cwd=folders.base,
            env={},  # bubblewrap itself runs on the host: a variable like LD_PRELOAD must not reach it
            argument_file=_argument_file(options),
            contained=True,
        )

    def _environment(self, command: Command) -> dict[str, str]:
        return command_environment(self._config, self._env, command, path=self._path, home=HOME, temporary=_TEMPORARY)


def _argument_file(options: Sequence[str]) -> bytes:
    """Return the options as `--args` reads them; a null byte inside one would smuggle in another option."""
    for option in options:
        if "\0" in option:
            raise ValueError("its environment contains a null byte")
    return b"".join(os.fsencode(option) + b"\0" for option in options)


async def probe(isolation: BubblewrapIsolation, root: Path) -> str | None:
    """Run a trivial command in it, with its folders below `root`; return why it does not work, or None."""
    folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="~probe-", dir=root)  # no thread's folder starts with ~p
    folders = SandboxFolders(Path(folder))
    try:
        await asyncio.to_thread(isolation.prepare, folders)
        spawn = isolation.spawn(folders, Command(argv=("true",)), ())
        result = await run_command(spawn, _PROBE_SECONDS, None, lambda _: nullcontext())
    finally:
        await asyncio.to_thread(shutil.rmtree, folder)
    if result.exit_code == 0:
        return None
    return result.output.strip() or f"it ended with exit code {result.exit_code}"
