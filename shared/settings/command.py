"""`baud config`: shows, changes and writes the configuration."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from shared.errors import ConfigurationError
from shared.settings import schema
from shared.settings.edit import set_key
from shared.settings.listing import Row, list_rows
from shared.settings.load import load_with_origins
from shared.settings.source import PROVIDER_KEYS
from shared.settings.template import render_template

app = typer.Typer(name="config", help="Show, change or write the configuration.", no_args_is_help=True)


@app.command()
def show(
    section: Annotated[str | None, typer.Argument(help="One section, such as gateway or llm.planner.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object: key to value and origin.")] = False,
) -> None:
    """Print every key, its value (secrets masked) and where it came from.

    Example: baud config show modem
    """
    with _explained():
        rows = _select(list_rows(load_with_origins(os.environ, Path.cwd())), section)
    if as_json:
        typer.echo(json.dumps({row.key: {"value": row.value, "origin": row.origin} for row in rows}, indent=2))
        return
    keys = [name for name in PROVIDER_KEYS if os.environ.get(name)]
    Console().print(_table(rows, f"Provider keys in the environment: {', '.join(keys) or 'none'}"))


@app.command(name="set")
def set_value(
    key: Annotated[str, typer.Argument(help="Dotted key, such as modem.concurrency or tools.bash.timeout.")],
    value: Annotated[str, typer.Argument(help="New value; a list as JSON or separated by commas.")],
    env: Annotated[str | None, typer.Option("--env", help="Whose file is changed; else that of ENV.")] = None,
) -> None:
    """Write one key into config.{ENV}.toml, once the whole configuration is checked.

    Comments in that file are not kept. Secrets are refused: they belong in the environment.

    Example: baud config set modem.concurrency 500 --env prod
    """
    environ = {**os.environ, **({"ENV": env} if env else {})}
    with _explained():
        change = set_key(environ, Path.cwd(), key, value)
    typer.echo(f"wrote {key} to {change.path}")
    if change.overriding_variable:
        typer.echo(f"note: {change.overriding_variable} is set here and wins over the file", err=True)


@app.command()
def init(
    path: Annotated[Path, typer.Option("--path", help="File to write.")] = Path("config.toml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file if it exists.")] = False,
) -> None:
    """Write a config.toml with every key, its default and its comment."""
    with _explained():
        if path.exists() and not force:
            raise ConfigurationError(f"{path} exists; pass --force to overwrite it, or --path to write another file")
        try:
            path.write_text(render_template(), encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error
    typer.echo(f"wrote {path}")


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except ConfigurationError as error:
        typer.echo(error.message, err=True)
        raise typer.Exit(2) from error


def _select(rows: list[Row], section: str | None) -> list[Row]:
    if section is None:
        return rows
    found = [row for row in rows if row.key == section or row.key.startswith(f"{section}.")]
    if found:
        return found
    names = sorted({row.key.rpartition(".")[0] or row.key for row in rows})
    hint = schema.suggestion(section, names)
    raise ConfigurationError(f"nothing is set under {section!r}{hint} (allowed: {', '.join(names)})")


def _table(rows: list[Row], caption: str) -> Table:
    table = Table(Column("key", no_wrap=True), "value", "from", caption=caption, caption_justify="left")
    for row in rows:
        table.add_row(*(Text(text, overflow="fold") for text in (row.key, _show(row.value), row.origin)))
    return table


def _show(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
