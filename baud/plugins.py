"""Finds further `baud` commands: each entry point of the group `baud.commands` names a typer.Typer."""

from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint

import typer

from shared.entry_points import LOADING_FAILURES

GROUP = "baud.commands"


def add_commands(app: typer.Typer, points: Iterable[EntryPoint], *, warn: Callable[[str], None]) -> None:
    """Add each plug-in's commands to `app`; warn about each that cannot be loaded, with the reason."""
    for point in points:
        try:
            command = point.load()
        except LOADING_FAILURES as error:
            warn(f"the command `{point.name}` ({point.value}) cannot be loaded: {type(error).__name__}: {error}")
            continue
        if isinstance(command, typer.Typer):
            _add(app, point.name, command)
        else:
            warn(f"the command `{point.name}` ({point.value}) is not a typer.Typer; ask its author")


def _add(app: typer.Typer, name: str, command: typer.Typer) -> None:
    """Add a group; one that holds a single command is that command, as it is when Typer runs it by itself."""
    callbacks = [info.callback for info in command.registered_commands if info.callback is not None]
    if len(callbacks) == 1 and not command.registered_groups and command.registered_callback is None:
        app.command(name, help=_help_of(command))(callbacks[0])
    else:
        app.add_typer(command, name=name)


def _help_of(command: typer.Typer) -> str | None:
    return command.info.help if isinstance(command.info.help, str) else None
