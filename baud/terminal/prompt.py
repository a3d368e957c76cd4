"""Reads a line from the terminal without blocking the event loop, so that Ctrl-C and streams keep working."""

import asyncio
import sys

import typer


async def read_line(prompt: str) -> str:
    """Show the prompt on standard error and return the line that is typed, without its end; empty at end of file."""
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
