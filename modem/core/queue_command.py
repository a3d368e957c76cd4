"""`baud queue`: lists dead letters, and puts them back into the queue."""

import asyncio
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer
from celery import Celery
from kombu.exceptions import KombuError
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from modem.type.flow_type import read_flow
from shared.broker.message import QueueMessage, read_envelope
from shared.broker.queue import make_celery
from shared.contract.dead_letter import DeadLetter
from shared.errors import BaudError, ConfigurationError, UnreadableMessageError
from shared.keys import LEGACY_TASK
from shared.settings.load import load_settings
from shared.settings.model import Settings
from shared.store.connection import open_connection
from shared.store.dead_letters import DeadLetterStore

app = typer.Typer(name="queue", help="Look at messages that no worker could read.", no_args_is_help=True)

_ALL: Final = "all"
_SHOWN_CHARS: Final = 120
_PUBLISH_SECONDS: Final = 5


@app.callback()
def _group() -> None:
    """Make a command group: Typer turns an app with one command into that command."""


@app.command()
def dead(
    retry: Annotated[
        str | None, typer.Option("--retry", metavar="ID|all", help="Put this message, or all, back into the queue.")
    ] = None,
    message: Annotated[
        Path | None,
        typer.Option("--message", metavar="FILE", help="With --retry ID: put back this text instead; - reads stdin."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list, newest first, with complete messages.")] = False,
) -> None:
    """List the dead letters: messages that a worker took from the queue and could not read, with the reason.

    Each was put aside, so that the worker and its other runs go on; nothing tries it again by itself. The newest 1,000
    are kept, of each the first 64 KB. --retry puts a message back only if it can be read now: after an update of Baud,
    or mended by hand. One that is put back leaves the list.

    Examples:

        baud queue dead

        baud queue dead --json > letters.json

        baud queue dead --retry all

        baud queue dead --retry 6f1c… --message mended.json
    """
    with _explained():
        settings = load_settings(os.environ, Path.cwd())
        letters = asyncio.run(_letters(settings))
        if retry is None:
            _show(letters, as_json=as_json)
            return
        text = None if message is None else _text_of(message)
        if text is not None and retry == _ALL:
            raise ConfigurationError("--message mends one message: name it with --retry ID")
        left = _put_back_all(settings, _chosen(letters, retry), text)
    if left:
        raise typer.Exit(1)


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except ConfigurationError as error:
        typer.echo(error.message, err=True)
        raise typer.Exit(2) from error
    except (BaudError, KombuError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error


def _text_of(path: Path) -> bytes:
    return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()


async def _letters(settings: Settings) -> list[DeadLetter]:
    connection = open_connection(settings.redis)
    try:
        return await DeadLetterStore(connection).list()
    finally:
        await connection.aclose()


async def _remove(settings: Settings, letter: DeadLetter) -> None:
    connection = open_connection(settings.redis)
    try:
        await DeadLetterStore(connection).remove(letter)
    finally:
        await connection.aclose()


def _chosen(letters: Sequence[DeadLetter], retry: str) -> list[DeadLetter]:
    chosen = [letter for letter in letters if retry in (_ALL, letter.id)]
    if not chosen and retry != _ALL:
        raise ConfigurationError(f"no dead letter has the id {retry!r}; `baud queue dead` lists them")
    return chosen


def _put_back_all(settings: Settings, letters: Sequence[DeadLetter], text: bytes | None) -> int:
    """Return how many stay."""
    celery = make_celery(settings.modem, settings.redis, socket_timeout=_PUBLISH_SECONDS)
    left = [letter for letter in reversed(letters) if not _put_back(settings, celery, letter, text)]
    typer.echo(f"{len(letters) - len(left)} put back, {len(left)} left")
    return len(left)


def _put_back(settings: Settings, celery: Celery, letter: DeadLetter, text: bytes | None) -> bool:
    """Publish a message again, then remove its letter: in this order it may come twice, but is never lost."""
    try:
        if text is None and letter.is_cut:
            raise UnreadableMessageError("only its beginning was kept; have its producer publish it again")
        read = read_envelope(text or letter.message.encode(), max_bytes=settings.modem.max_message_bytes)
        if read.task == LEGACY_TASK:
            read_flow(read.arguments[0])
    except UnreadableMessageError as error:
        typer.echo(f"{letter.id} stays: {error.message}", err=True)
        return False
    _publish(celery, settings.modem.queue, read)
    asyncio.run(_remove(settings, letter))
    return True


def _publish(celery: Celery, queue: str, read: QueueMessage) -> None:
    with celery.connection_for_write() as connection:
        connection.ensure_connection(max_retries=1, timeout=_PUBLISH_SECONDS)
        connection.Producer().publish(
            read.body(),
            exchange="",
            routing_key=queue,
            content_type="application/json",
            content_encoding="utf-8",
            headers=read.headers(),
            delivery_mode=2,
        )


def _show(letters: Sequence[DeadLetter], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([letter.model_dump(mode="json") for letter in letters], indent=2))
        return
    if not letters:
        typer.echo("no message was put aside")
        return
    table = Table(Column("id", no_wrap=True), "put aside at", "reason", "bytes", "message", caption_justify="left")
    for letter in letters:
        beginning = repr(letter.message[:_SHOWN_CHARS])[1:-1]
        row = (letter.id, letter.put_aside_at, letter.reason, f"{letter.size_bytes:,}", beginning)
        table.add_row(*(Text(text, overflow="fold") for text in row))
    Console().print(table)
