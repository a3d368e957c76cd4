"""Commands get an empty environment but for what is named, and limits that the worker itself may set."""

import os
import re
import resource
import subprocess
import sys

import pytest

from shared.config import SandboxConfig
from workflow.service.sandbox.base import Command
from workflow.service.sandbox.isolation import command_environment, limits_argv, search_path


def environment(config: SandboxConfig, command: Command) -> dict[str, str]:
    worker = {"SECRET": "s", "ALLOWED": "a", "PATH": "/usr/bin"}
    return command_environment(config, worker, command, path=["/usr/bin"], home="/h", temporary="/t")


def test_only_allowed_variables_of_the_worker_are_passed() -> None:
    seen = environment(SandboxConfig(env_allow=("ALLOWED", "ABSENT")), Command(argv=("env",), env={"OWN": "o"}))
    assert seen == {
        "PATH": "/h/.local/bin:/usr/bin",
        "HOME": "/h",
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "TMPDIR": "/t",
        "ALLOWED": "a",
        "OWN": "o",
    }


@pytest.mark.parametrize("name", ["", "A=B", "A\0B"])
def test_an_unusable_variable_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name of an environment variable"):
        environment(SandboxConfig(), Command(argv=("env",), env={name: "x"}))


def test_the_workers_own_environment_is_not_on_path() -> None:
    own, base = os.path.join(sys.prefix, "bin"), os.path.join(sys.base_prefix, "bin")
    found = search_path({"PATH": f"{own}:relative:{base}:/usr/bin::/usr/bin"})
    assert found == tuple(dict.fromkeys((base, "/usr/bin")))


def test_no_limit_is_above_what_the_worker_has() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    limits = " ".join(limits_argv(SandboxConfig(memory_bytes=2**30), count_processes=True))
    (files,) = [int(found) for found in re.findall(r"(?:--nofile=|ulimit -n )(\d+)", limits)]
    assert hard == resource.RLIM_INFINITY or files <= hard


@pytest.mark.parametrize("programs", [None, "/nowhere"], ids=["prlimit or ulimit", "ulimit"])
def test_limits_hold_with_the_shell_alone(programs: str | None) -> None:
    config = SandboxConfig(memory_bytes=2**30, max_file_bytes=2**20)
    limits = limits_argv(config, count_processes=True, **({"programs": programs} if programs else {}))
    script = (
        "import resource as r; print(*(r.getrlimit(kind) for kind in (r.RLIMIT_DATA, r.RLIMIT_FSIZE, r.RLIMIT_CORE)))"
    )
    printed = subprocess.run([*limits, sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert printed == f"({2**30}, {2**30}) ({2**20}, {2**20}) (0, 0)\n"


def test_the_shell_that_sets_limits_becomes_the_command() -> None:
    limits = limits_argv(SandboxConfig(), count_processes=False, programs="/nowhere")
    missing = subprocess.run([*limits, "no-such-program"], capture_output=True, text=True, check=False)
    assert missing.returncode == 127
    assert "no-such-program" in missing.stderr
    words = subprocess.run([*limits, "printf", "%s|", "a b", "$HOME"], capture_output=True, text=True, check=True)
    assert words.stdout == "a b|$HOME|"
