"""A command that fills the disk is stopped before the store and the other runs of the worker suffer."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from tests.integration.sandbox.full_disk import DISK_BYTES
from workflow.service.sandbox.programs import bubblewrap_programs


async def filled(folder: Path, *arguments: str) -> dict[str, str | int | bool]:
    """Return what came of it on a disk of its own, which ends with the process."""
    disk = folder / "disk"
    disk.mkdir()
    bubblewrap = bubblewrap_programs(os.environ)[-1]
    process = await asyncio.create_subprocess_exec(
        bubblewrap, "--dev-bind", "/", "/", "--size", str(DISK_BYTES), "--tmpfs", str(disk), "--",
        sys.executable, "-m", "tests.integration.sandbox.full_disk", str(disk), *arguments,
        stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": "."},
    )  # fmt: skip
    answer, _ = await process.communicate()
    assert process.returncode == 0
    found: dict[str, str | int | bool] = json.loads(answer)
    return found


@pytest.mark.parametrize("kind", ["foreground", "background"])
async def test_a_command_that_fills_the_disk_is_stopped_and_nobody_else_suffers(tmp_path: Path, kind: str) -> None:
    found = await filled(tmp_path, str(DISK_BYTES // 4), kind)
    assert "The command was stopped: it was filling the disk." in str(found["output"])
    assert "came to its end" not in str(found["output"])
    assert (found["other_failed"], found["store_answers"], found["freed"]) == (0, True, "freed\n")
