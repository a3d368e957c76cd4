"""`baud why`: what a run is doing or waiting for, and what happens next by itself."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from baud import AsyncBaud, Why
from baud.command.find_run import find_named
from baud.command.open_client import find_api_key, open_client
from baud.command.open_gateway import open_gateway
from baud.command.options import ApiKeyFile, DataFolder, Json, Url
from baud.command.run import EXIT_STOPPED
from baud.sdk.errors import BaudClientError
from baud.stack_options import DEFAULT_DATA_DIR, StackOptions, redis_url_from
from baud.terminal.interruption import Interruption
from baud.terminal.terminal_text import printable


async def newest_run(baud: AsyncBaud, thread_id: str) -> str:
    """Return the id of the thread's newest run."""
    async for record in baud.runs(thread_id, page_size=1):
        return record.run_id
    raise BaudClientError(f'the thread has no run yet; give it one with: baud run --thread {thread_id} "task"')


def _owner(found: Why) -> str:
    if found.owner is None:
        return ""
    return found.owner if found.is_owner_alive else f"{found.owner} (not alive)"


def _table(found: Why) -> Table:
    usage = found.usage
    spent = f"{usage.steps} steps, {usage.input_tokens:,} tokens in, {usage.output_tokens:,} out, ${usage.cost_usd:.4f}"
    crashes = f", {found.crashes} lost" if found.crashes else ""
    rows = (
        ("run", found.run_id),
        ("status", found.status.value),
        ("now", found.doing),
        ("since", found.since or ""),
        ("last event", found.last_progress_at or ""),
        ("worker", _owner(found)),
        ("attempts", f"{found.attempts}{crashes}" if found.attempts else ""),
        ("spent", spent if usage.steps else ""),
        ("next", found.next.what),
        ("at", found.next.at or ""),
    )
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in rows:
        if text:
            table.add_row(name, Text(printable(text)))
    return table


async def _explain(some_id: str, run_id: str, *, url: str, api_key: str, as_json: bool, folder: Path) -> int:
    options = StackOptions(data_dir=folder, port=0, workers=0, redis_url=redis_url_from(os.environ))
    async with (
        Interruption() as interruption,
        open_gateway(url, options, interruption, env=os.environ) as gateway,
        open_client(gateway.url, api_key) as baud,
    ):
        named = await find_named(baud, some_id, run_id)
        found = await baud.why(named.thread_id, named.run_id or await newest_run(baud, named.thread_id))
        if as_json:
            typer.echo(found.model_dump_json(exclude_none=True))
        else:
            Console(highlight=False).print(_table(found))
        return 0
    return EXIT_STOPPED


def why(
    thread_or_run: Annotated[str, typer.Argument(help="Id of a run, or of a thread: then its newest run.")],
    run: Annotated[str, typer.Argument(help="Id of the run, after its thread's.")] = "",
    *,
    url: Url = "",
    api_key_file: ApiKeyFile = None,
    as_json: Json = False,
    data_dir: DataFolder = DEFAULT_DATA_DIR,
) -> None:
    """Show what a run is doing or waiting for, and what happens next by itself.

    Examples:

        baud why 77ab...

        baud why 4f1c... 77ab... --json
    """
    api_key = find_api_key(api_key_file, os.environ)
    work = _explain(thread_or_run, run, url=url, api_key=api_key, as_json=as_json, folder=data_dir)
    raise typer.Exit(asyncio.run(work))
