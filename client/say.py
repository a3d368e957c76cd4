"""Lines for the user about what is going on: on standard error, so that standard output carries results only."""

import typer


def say(line: str) -> None:
    """Write one line to standard error."""
    typer.echo(f"baud: {line}", err=True)
