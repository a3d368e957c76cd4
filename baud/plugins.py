"""Finds further `baud` commands: each entry point of the group `baud.commands` names a typer.Typer."""

from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points

import typer

GROUP = "baud.commands"
# What loading third-party code may raise (not KeyboardInterrupt or SystemExit); a bad plug-in must not end `baud`.
_LOADING_FAILURES = (
    ImportError, SyntaxError, NameError, AttributeError, TypeError, ValueError, LookupError, RuntimeError, OSError,
    AssertionError,
)  # fmt: skip


def installed() -> tuple[EntryPoint, ...]:
    """Return the entry points of installed plug-ins, by name."""
    return tuple(sorted(entry_points(group=GROUP), key=lambda point: point.name))


def add_commands(app: typer.Typer, points: Iterable[EntryPoint], *, warn: Callable[[str], None]) -> None:
    """Add each plug-in's commands to `app`; warn about each that cannot be loaded, with the reason."""
    for point in points:
        try:
            command = point.load()
        except _LOADING_FAILURES as error:
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
