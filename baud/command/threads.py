"""`baud threads`: the newest threads of a gateway."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from baud import AsyncBaud, ThreadRecord
from baud.command.open_gateway import open_gateway
from baud.command.options import DataFolder, Json, Token, Url
from baud.command.run import EXIT_STOPPED
from baud.stack_options import DEFAULT_DATA_DIR, StackOptions, redis_url_from
from baud.terminal.interruption import Interruption

_LARGEST_PAGE = 100


async def newest(baud: AsyncBaud, limit: int) -> list[ThreadRecord]:
    """Return at most `limit` threads, newest first."""
    found: list[ThreadRecord] = []
    async for record in baud.threads(page_size=min(limit, _LARGEST_PAGE)):
        found.append(record)
        if len(found) == limit:
            break
    return found


def _table(records: list[ThreadRecord]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("thread", "status", "runs", "updated", "now"):
        table.add_column(heading, no_wrap=True)
    for record in records:
        table.add_row(
            record.thread_id,
            record.status,
            str(record.run_count),
            record.updated_at[:19],
            "works" if record.active_run_id else "idle",
        )
    return table


async def _list(url: str, token: str, limit: int, *, as_json: bool, folder: Path) -> int:
    options = StackOptions(data_dir=folder, port=0, workers=0, redis_url=redis_url_from(os.environ))
    async with (
        Interruption() as interruption,
        open_gateway(url, options, interruption, env=os.environ) as gateway,
        AsyncBaud(gateway.url, token=token or None) as baud,
    ):
        records = await newest(baud, limit)
        if as_json:
            for record in records:
                typer.echo(record.model_dump_json())
        else:
            console = Console(highlight=False)
            console.print(_table(records) if records else "no threads yet")
        return 0
    return EXIT_STOPPED


def threads(
    *,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 20,
    url: Url = "",
    token: Token = "",
    as_json: Json = False,
    data_dir: DataFolder = DEFAULT_DATA_DIR,
) -> None:
    """List the threads, newest first.

    Examples:

        baud threads

        baud threads --limit 100 --json
    """
    raise typer.Exit(asyncio.run(_list(url, token, limit, as_json=as_json, folder=data_dir)))
