"""Progress lines for the user on standard error, so that standard output has results only."""

from contextlib import suppress

import typer


def say(line: str) -> None:
    """Write one line to standard error; errors of writing are ignored."""
    with suppress(OSError, ValueError):  # a full disk, a closed terminal, a closed file
        typer.echo(f"baud: {line}", err=True)
