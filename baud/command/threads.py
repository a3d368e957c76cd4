"""`baud threads`: the newest threads of a gateway; `share` and `unshare` are commands below it."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from baud import AsyncBaud, ThreadRecord
from baud.command.open_client import find_api_key, open_client
from baud.command.open_gateway import open_gateway
from baud.command.options import ApiKeyFile, DataFolder, Json, Url
from baud.command.run import EXIT_STOPPED
from baud.command.share import share, unshare
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


async def _list(url: str, api_key: str, limit: int, *, as_json: bool, folder: Path) -> int:
    options = StackOptions(data_dir=folder, port=0, workers=0, redis_url=redis_url_from(os.environ))
    async with (
        Interruption() as interruption,
        open_gateway(url, options, interruption, env=os.environ) as gateway,
        open_client(gateway.url, api_key) as baud,
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


app = typer.Typer()
app.command("share")(share)
app.command("unshare")(unshare)


@app.callback(invoke_without_command=True)
def threads(
    context: typer.Context,
    *,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 20,
    url: Url = "",
    api_key_file: ApiKeyFile = None,
    as_json: Json = False,
    data_dir: DataFolder = DEFAULT_DATA_DIR,
) -> None:
    """List the threads, newest first; or share one.

    Examples:

        baud threads

        baud threads --limit 100 --json

        baud threads share 4f1c... alice --role editor
    """
    if context.invoked_subcommand is not None:
        _refuse_options_before(context, context.invoked_subcommand)
        return
    api_key = find_api_key(api_key_file, os.environ)
    raise typer.Exit(asyncio.run(_list(url, api_key, limit, as_json=as_json, folder=data_dir)))


def _refuse_options_before(context: typer.Context, subcommand: str) -> None:
    """Refuse options of the list, which the subcommand would not see: another gateway might be meant."""
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is not None and source.name == "COMMANDLINE":
            example = f"baud threads {subcommand} THREAD USER {parameter.opts[0]} …"
            raise typer.BadParameter(f"options of {subcommand} come after it: {example}")
