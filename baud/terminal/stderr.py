"""Lines for the user about what is going on: on standard error, so that standard output carries results only."""

from contextlib import suppress

import typer


def say(line: str) -> None:
    """Write one line to standard error; whoever says something goes on when nobody can be told."""
    with suppress(OSError, ValueError):  # a full disk, a terminal that has gone, a closed file
        typer.echo(f"baud: {line}", err=True)
