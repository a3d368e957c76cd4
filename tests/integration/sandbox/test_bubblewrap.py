"""In namespaces a command sees its own workspace and the system's programs, and nothing else of the host."""

import os
import socket
from pathlib import Path

import pytest

from shared.config import Network
from tests.integration.sandbox.conftest import SECRET, LocalSandboxes
from tests.integration.sandbox.processes import eventually, is_running, unique_sleep
from workflow.errors import SandboxError
from workflow.service.sandbox.base import Command
from workflow.service.sandbox.local import LocalSandbox


@pytest.fixture
async def sandbox(confined: LocalSandboxes) -> LocalSandbox:
    return await confined.open()


async def output(sandbox: LocalSandbox, script: str) -> str:
    return (await sandbox.run(Command(argv=["bash", "-c", script], timeout_seconds=20))).output


async def test_only_a_chosen_part_of_the_host_is_visible(sandbox: LocalSandbox) -> None:
    top = set((await output(sandbox, "ls -A /")).split())
    on_path = {Path(folder).parts[1] for folder in os.environ["PATH"].split(":") if len(Path(folder).parts) > 1}
    assert top <= on_path | {
        "bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "etc", "proc", "dev", "run", "var", "tmp", "home",
        "root", "workspace", "opt",
    }  # fmt: skip
    assert sandbox.workspace == "/workspace"
    assert await output(sandbox, "pwd; id -un; echo $HOME") == "/workspace\nagent\n/home/agent\n"


async def test_a_host_file_outside_cannot_be_read(sandbox: LocalSandbox, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o644)
    script = f"cat {secret} /etc/shadow; ls {tmp_path} {Path.home()}/.ssh; ls -R /home /var"
    seen = await output(sandbox, script)
    assert SECRET not in seen
    assert seen.count("No such file or directory") == 4


async def test_secrets_beside_a_folder_on_path_cannot_be_read(confined: LocalSandboxes, tmp_path: Path) -> None:
    programs = tmp_path / "srv/app/bin"
    programs.mkdir(parents=True)
    (programs / "greet").write_text("#!/bin/sh\necho hello\n")
    (programs / "greet").chmod(0o755)
    (tmp_path / "srv/app/.env").write_text(SECRET)
    sandbox = await confined.open(env={"PATH": f"{programs}:{os.environ['PATH']}"})
    seen = await output(sandbox, f"greet; ls -A {tmp_path}/srv/app; cat {tmp_path}/srv/app/.env")
    assert seen.startswith("hello\nbin\n")
    assert SECRET not in seen


@pytest.mark.parametrize(
    "path",
    [
        "/usr/x", "/bin/x", "/etc/x", "/etc/passwd", "/etc/hosts", "/x", "/run/x", "/dev/x", "/home/x",
        "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sysrq-trigger",
    ],
)  # fmt: skip
async def test_the_system_cannot_be_changed(sandbox: LocalSandbox, path: str) -> None:
    seen = await output(sandbox, f"[ ! -w {path} ] && echo protected; mkdir {path} || : >> {path} || echo refused")
    assert seen.startswith("protected\n")
    assert seen.endswith("refused\n")


@pytest.mark.parametrize("folder", ["/workspace", "/home/agent", "/tmp", "/var/tmp", "/dev/shm"])
async def test_what_a_command_may_write_is_on_disk_and_lasts(sandbox: LocalSandbox, folder: str) -> None:
    assert await output(sandbox, f"echo kept > {folder}/file") == ""
    assert (
        await output(sandbox, f"cat {folder}/file; [ $(stat -f -c %T {folder}) = tmpfs ] || echo on disk")
        == "kept\non disk\n"
    )


async def test_programs_that_share_memory_or_use_devices_work(sandbox: LocalSandbox) -> None:
    script = "import multiprocessing as m; l = m.Lock(); p = m.Pool(2); print(p.map(abs, [-1, -2]))"
    seen = await output(sandbox, f"python3 -c '{script}'; echo x > /dev/null; echo err > /dev/stderr")
    assert seen == "[1, 2]\nerr\n"


async def test_the_workers_environment_is_in_no_process_it_can_see(sandbox: LocalSandbox) -> None:
    seen = await output(sandbox, "cat /proc/*/environ /proc/*/cmdline | tr '\\0' '\\n'")
    assert "HOME=/home/agent" in seen
    assert SECRET not in seen
    assert "--ro-bind" not in seen


async def test_a_command_sees_no_process_of_the_host(sandbox: LocalSandbox) -> None:
    pids = [int(name) for name in (await output(sandbox, "ls /proc")).split() if name.isdigit()]
    assert len(pids) < 8
    assert f"{os.getpid()}" not in await output(sandbox, "cat /proc/*/cmdline")


async def test_a_command_has_no_capabilities_and_can_gain_none(sandbox: LocalSandbox) -> None:
    seen = dict(line.split(":\t") for line in (await output(sandbox, "cat /proc/self/status")).splitlines())
    assert (seen["CapEff"], seen["CapBnd"], seen["NoNewPrivs"]) == ("0" * 16, "0" * 16, "1")


async def test_only_the_standard_descriptors_are_inherited(sandbox: LocalSandbox, tmp_path: Path) -> None:
    kept_open = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(kept_open, True)
    seen = await sandbox.run(Command(argv=["ls", "/proc/self/fd"]))
    os.close(kept_open)
    assert len(seen.output.split()) == 4  # 0, 1, 2 and the folder that ls reads


async def test_two_threads_do_not_see_each_other(confined: LocalSandboxes) -> None:
    first, second = await confined.open("first"), await confined.open("second")
    sleep = unique_sleep()
    await first.run(Command(argv=["bash", "-c", f"echo {SECRET} | tee /workspace/a /tmp/a $HOME/a"]))
    await first.start(Command(argv=sleep))
    assert await eventually(lambda: is_running(sleep))
    seen = await output(second, "cat /workspace/a /tmp/a $HOME/a; ls -A . /tmp; cat /proc/*/cmdline | tr '\\0' ' '")
    assert SECRET not in seen
    assert " ".join(sleep) not in seen
    assert str(confined.root) not in seen


async def test_a_preloaded_library_does_not_reach_the_host_side(sandbox: LocalSandbox) -> None:
    command = Command(argv=["echo", "fine"], env={"LD_PRELOAD": "/workspace/none.so", "LD_LIBRARY_PATH": "."})
    result = await sandbox.run(command)
    assert result.exit_code == 0
    complaints = [line for line in result.output.splitlines() if "cannot be preloaded" in line]
    assert len(complaints) == 2  # what sets the limits and echo, both inside; bubblewrap, outside, would be the third
    assert result.output.endswith("fine\n")


async def test_without_network_nothing_can_be_reached(confined: LocalSandboxes) -> None:
    sandbox = await confined.open(network=Network.NONE)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        seen = await output(sandbox, f"cat /proc/net/dev; exec 3<>/dev/tcp/127.0.0.1/{port} && echo reached")
    assert "reached" not in seen
    assert [line.split(":")[0].strip() for line in seen.splitlines() if ":" in line and "lo" in line] == ["lo"]


async def test_without_network_no_port_is_exposed(confined: LocalSandboxes) -> None:
    sandbox = await confined.open(network=Network.NONE)
    with pytest.raises(SandboxError, match=r"sandbox\.network is none"):
        await sandbox.expose(8000, "")


async def test_with_an_open_network_the_hosts_servers_are_reached(sandbox: LocalSandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert await output(sandbox, f"exec 3<>/dev/tcp/127.0.0.1/{port} && echo reached") == "reached\n"


async def test_an_absolute_link_made_inside_means_the_same_to_file_methods(sandbox: LocalSandbox) -> None:
    await output(sandbox, "mkdir real; echo x > real/file; ln -s /workspace/real link")
    assert await sandbox.read_file("link/file") == b"x\n"
    assert await sandbox.read_file("/workspace/link/file") == b"x\n"


async def test_a_virtual_environment_can_be_made(sandbox: LocalSandbox) -> None:
    script = "python3 -m venv --without-pip venv && venv/bin/python -c 'import sys; print(sys.prefix)'"
    assert await output(sandbox, script) == "/workspace/venv\n"
