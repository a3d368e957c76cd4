"""Commands for sandboxes, what runs on this machine, and waiting until that is as it should be."""

import asyncio
import secrets
import time
from collections.abc import Callable
from contextlib import suppress

import psutil

from workflow.service.sandbox.base import Command


def shell(script: str, **options: object) -> Command:
    """Return a command for bash; `options` are Command's own fields."""
    return Command(argv=["bash", "-c", script], **options)  # type: ignore[arg-type] # options are Command's own fields


def unique_sleep() -> list[str]:
    """Return an argv that sleeps long and that no other process has."""
    return ["sleep", f"1{secrets.randbelow(10**9):09}"]


def is_running(argv: list[str]) -> bool:
    """Whether any process of this machine has this command line."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.cmdline() == argv:
                return True
    return False


async def eventually(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Return whether the condition became true within the bound."""
    deadline = time.monotonic() + seconds
    while not await asyncio.to_thread(condition):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True
