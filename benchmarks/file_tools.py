"""Files of one sandbox: the start of its helper, small reads, a glob over 200,000 files, and the memory of a helper."""

import asyncio
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import psutil
from pydantic import JsonValue

from benchmarks.report import percentile, report
from shared.config import IsolationKind, SandboxConfig
from shared.contract.state import AgentState
from workflow.service.sandbox.base import Sandbox
from workflow.service.sandbox.local import LocalSandbox
from workflow.service.sandbox.local_provider import LocalProvider
from workflow.tool.base import Tool, ToolContext
from workflow.tool.file_read import FileReadTool
from workflow.tool.glob import GlobTool

_STARTS: Final = 20
_READS: Final = 500
_FOLDERS: Final = 400
_FILES_IN_EACH: Final = 500


async def _call(sandbox: Sandbox, tool: Tool[Any], **arguments: JsonValue) -> float:
    """Return the seconds that one call took."""

    async def give() -> Sandbox:
        return sandbox

    async def ignore(result: Mapping[str, JsonValue]) -> None:
        return None

    context = ToolContext("t", "r", "c", AgentState(), give, ignore, 60.0, tool.max_output_chars)
    begun = time.perf_counter()
    await tool.run(tool.parameters.model_validate(arguments), context)
    return time.perf_counter() - begun


def _fill(workspace: Path) -> None:
    for folder in range(_FOLDERS):
        inside = workspace / f"package{folder}" / "src"
        inside.mkdir(parents=True)
        for file in range(_FILES_IN_EACH):
            os.close(os.open(inside / f"module{file}.py", os.O_CREAT | os.O_WRONLY))


async def _starts(provider: LocalProvider) -> list[float]:
    found = []
    for number in range(_STARTS):
        sandbox = await provider.create(f"start-{number}")
        begun = time.perf_counter()
        await sandbox.list_files("", recursive=False)
        found.append(time.perf_counter() - begun)
        await sandbox.close()
    return found


def _memory(sandbox: LocalSandbox) -> tuple[float, float]:
    """Return RSS and PSS of the helper in MB."""
    held = psutil.Process(sandbox.files.helper_pid).memory_full_info()
    return held.rss / 1e6, held.pss / 1e6


async def measure() -> None:
    """Print the figures; the sandbox has no isolation, which the helper does not depend on."""
    with tempfile.TemporaryDirectory() as root:
        config = SandboxConfig(isolation=IsolationKind.PROCESS)
        provider = LocalProvider(config, Path(root), is_production=False, env=os.environ)
        starts = await _starts(provider)
        sandbox = await provider.create("files")
        await sandbox.write_files({"a.py": b"x = 1\n" * 100})
        reads = [await _call(sandbox, FileReadTool(), file_path="a.py") for _ in range(_READS)]
        rss, pss = _memory(sandbox)
        await asyncio.to_thread(_fill, Path(sandbox.workspace))
        glob = await _call(sandbox, GlobTool(), pattern="**/*.py")
        rss_after, _ = _memory(sandbox)
        await sandbox.close()
    p50, p95 = percentile(reads, 0.5) * 1e3, percentile(reads, 0.95) * 1e3
    start = percentile(starts, 0.5) * 1e3
    report(
        "file tools",
        [
            ("file_read on a warm helper, p50", f"{p50:.2f} ms", "aim: at most 5 ms"),
            ("file_read on a warm helper, p95", f"{p95:.2f} ms", ""),
            ("first call, with the start of the helper, p50", f"{start:.0f} ms", "aim: 20 to 40 ms"),
            (f"glob **/*.py over {_FOLDERS * _FILES_IN_EACH} files", f"{glob:.2f} s", ""),
            ("memory of a helper, RSS / PSS", f"{rss:.1f} / {pss:.1f} MB", ""),
            ("RSS after the glob", f"{rss_after:.1f} MB", ""),
        ],
        {"read_p50_ms": p50, "read_p95_ms": p95, "start_ms": start, "glob_s": glob, "rss_mb": rss, "pss_mb": pss},
    )
