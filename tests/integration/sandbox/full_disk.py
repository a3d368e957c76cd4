"""Run as a process in namespaces of its own: a small disk that a store and the sandboxes share, and who fills it."""

import asyncio
import json
import os
import sys
from pathlib import Path

from redis import Redis

from shared.config import IsolationKind, SandboxConfig
from tests.integration.redis_process import RedisProcess
from workflow.service.sandbox.base import Command
from workflow.service.sandbox.local import LocalSandbox
from workflow.service.sandbox.local_provider import LocalProvider

DISK_BYTES = 400_000_000

# Each file is far smaller than a file may be. Memory takes more in a second than any disk: a pause after each.
_FILL = (
    "i=0; while :; do i=$((i+1)); head -c 4000000 /dev/zero > {folder}/fill.$i || break; sleep 0.03; done;"
    " echo came to its end"
)


async def _paced(sandbox: LocalSandbox, until: "asyncio.Task[str]") -> int:
    """Write a little in another sandbox, again and again, for as long as the disk is being filled."""
    failures = 0
    while not until.done():
        result = await sandbox.run(Command(argv=["sh", "-c", "echo x > file && cat file"]))
        failures += result.output != "x\n"
    return failures


async def _fill(sandbox: LocalSandbox, *, in_background: bool) -> str:
    script = " & ".join(_FILL.format(folder=folder) for folder in (".", "$HOME", "$TMPDIR")) + " & wait"
    if not in_background:
        return (await sandbox.run(Command(argv=["bash", "-c", script]))).output
    process = await sandbox.start(Command(argv=["bash", "-c", script]))
    log = ""
    while "the process ended" not in log:
        await asyncio.sleep(0.05)
        log = (await sandbox.read_file(process.log_path)).decode()
    return log


async def main(disk: Path, min_free_bytes: int, *, in_background: bool) -> None:
    (disk / "redis").mkdir()
    store = RedisProcess(folder=disk / "redis")
    store.start()
    config = SandboxConfig(isolation=IsolationKind.PROCESS, min_free_bytes=min_free_bytes)
    provider = LocalProvider(config, disk / "sandboxes", is_production=False, env=os.environ)
    filling, other = await provider.create("filling"), await provider.create("other")
    task = asyncio.create_task(_fill(filling, in_background=in_background))
    failures = await _paced(other, task)
    output = await task
    try:
        Redis.from_url(store.url).set("key", "x" * 100_000)
        answers = True
    except Exception:  # noqa: BLE001 - whatever it is, the store is down
        answers = False
    freed = await filling.run(Command(argv=["bash", "-c", "rm -f fill.* $HOME/fill.* $TMPDIR/fill.*; echo freed"]))
    await filling.close()
    await other.close()
    store.stop()
    found = {"output": output, "other_failed": failures, "store_answers": answers, "freed": freed.output}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), in_background=sys.argv[3] == "background"))
