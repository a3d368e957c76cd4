"""The `baud` command: its own commands, those of plug-ins, and how errors reach the user."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import EntryPoint, PackageNotFoundError, version
from types import MappingProxyType
from typing import Annotated

import typer

from baud import plugins
from baud.command.answer import answer
from baud.command.run import run
from baud.command.tail import tail
from baud.command.threads import app as threads
from baud.command.up import up
from baud.command.why import why
from baud.sdk.errors import BaudClientError
from baud.terminal.console import print_to_stderr
from shared.entry_points import installed

_HELP = """Run tool-using AI agents on a backend of your own: every run survives, every event arrives once.

Examples:

    baud run "write a haiku into haiku.txt"    try it: starts what it needs

    baud up                                    the complete backend, until Ctrl-C

    baud run --thread ID "now translate it"    go on with a conversation

    baud tail ID                               what happened on a thread

    baud threads                               the newest threads

    baud why ID                                what a run is doing, or waits for

    baud answer ID "green"                     answer a run that waits for you
"""
_COMMANDS: Mapping[str, Callable[..., None]] = MappingProxyType(
    {"run": run, "up": up, "tail": tail, "why": why, "answer": answer}
)
_GROUPS: Mapping[str, typer.Typer] = MappingProxyType({"threads": threads})


def _show_version(wanted: bool) -> None:
    if not wanted:
        return
    # Where both are installed, the one with the services is meant.
    for distribution in ("baud", "baud-client"):
        with suppress(PackageNotFoundError):
            typer.echo(f"{distribution} {version(distribution)}")
            raise typer.Exit
    typer.echo("baud (not installed, running from its source)")
    raise typer.Exit


def _root(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Define the options that come before any command."""


def build_app(arguments: Sequence[str], points: Iterable[EntryPoint]) -> typer.Typer:
    """Return the command line. Plug-ins are loaded only when asked for, by name or by a listing of all."""
    app = typer.Typer(name="baud", help=_HELP, no_args_is_help=True, pretty_exceptions_enable=False)
    app.callback()(_root)
    for name, command in _COMMANDS.items():
        app.command(name)(command)
    for name, group in _GROUPS.items():
        app.add_typer(group, name=name)
    wanted = next((argument for argument in arguments if not argument.startswith("-")), None)
    if wanted not in {*_COMMANDS, *_GROUPS}:
        chosen = [point for point in points if wanted in (None, point.name)]
        plugins.add_commands(app, chosen or points, warn=print_to_stderr)
    return app


def main() -> None:
    """Run the `baud` command: exit code 1 with one line on standard error when something goes wrong."""
    try:
        build_app(sys.argv[1:], installed(plugins.GROUP))()
    except BaudClientError as error:
        print_to_stderr(f"error: {error}")
        sys.exit(1)
