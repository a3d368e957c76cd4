"""The terminal beside the results: progress lines on standard error, and a line that the user types."""

import asyncio
import sys
from contextlib import suppress

import typer


def print_to_stderr(line: str) -> None:
    """Write one line to standard error; errors of writing are ignored."""
    with suppress(OSError, ValueError):  # a full disk, a closed terminal, a closed file
        typer.echo(f"baud: {line}", err=True)


async def read_line(prompt: str) -> str:
    """Show the prompt on standard error and return the line that is typed, without its end; empty at end of file.

    It does not block the event loop, so that Ctrl-C and streams keep working.
    """
    typer.echo(prompt, err=True, nl=False)
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    descriptor = sys.stdin.fileno()
    # A terminal delivers complete lines: once it is readable, readline does not block.
    loop.add_reader(descriptor, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(descriptor)
    return sys.stdin.readline().strip()
