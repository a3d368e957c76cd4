"""`baud modem` and `python -m modem`: one worker process until a signal ends it."""

import sys

import typer

from modem.core.main import run_modem
from shared.errors import ConfigurationError

app = typer.Typer(add_completion=False)


@app.callback(invoke_without_command=True)
def serve() -> None:
    """Run one worker: takes jobs from the queue and executes the runs.

    It reads config.toml and the environment (REDIS_URL, BAUD_MODEM__CONCURRENCY, …). SIGTERM ends it:
    active runs get modem.drain_timeout seconds.
    """
    try:
        sys.exit(run_modem())
    except ConfigurationError as error:
        typer.echo(f"baud modem: {error.message}", err=True)
        sys.exit(2)
