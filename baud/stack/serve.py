"""A local stack until a signal stops it."""

import asyncio
import os

import typer

from baud.stack.local_stack import LocalStack
from baud.stack_options import StackOptions
from baud.terminal.console import print_to_stderr
from baud.terminal.interruption import Interruption


async def serve(options: StackOptions) -> None:
    """Run the stack until a signal; the ready line is all that goes to standard output."""
    stack = LocalStack(options, env=os.environ, report=print_to_stderr)
    async with Interruption() as interruption:
        interruption.on_second = stack.hurry
        async with stack:
            try:
                typer.echo(f"baud ready gateway={stack.url} redis={stack.redis_url}")
            except OSError as error:  # the stack keeps running without its ready line
                print_to_stderr(f"the ready line cannot be written: {error.strerror}")
            await asyncio.Event().wait()
