"""How the commands of the SQL store end when something is wrong: one line on standard error, and an exit code."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from shared.errors import BaudError, ConfigurationError, DatabaseUnavailableError


@contextmanager
def explained() -> Iterator[None]:
    """Exit with 2 for what has to be set or made first, with 1 for what failed."""
    try:
        yield
    except ConfigurationError as error:
        typer.echo(error.message, err=True)
        raise typer.Exit(2) from error
    except DatabaseUnavailableError as error:
        typer.echo(f"error: {error.message} ({_reason(error)})", err=True)
        raise typer.Exit(1) from error
    except BaudError as error:
        typer.echo(f"error: {error.message}", err=True)
        raise typer.Exit(1) from error


def _reason(error: DatabaseUnavailableError) -> str:
    """Return what the driver said, in one line."""
    cause = error.__cause__
    said = str(getattr(cause, "orig", None) or cause or "").strip()  # SQLAlchemy wraps the driver's own error
    return said.splitlines()[0] if said else "no answer within the time limit"
