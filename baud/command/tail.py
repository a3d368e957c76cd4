"""`baud tail`: shows the events of a thread or a run, and follows new ones."""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from baud import AsyncBaud, Event
from baud.command.find_run import find_named
from baud.command.open_client import find_api_key, open_client
from baud.command.open_gateway import open_gateway
from baud.command.options import ApiKeyFile, DataFolder, Json, Url
from baud.command.run import EXIT_STOPPED
from baud.stack_options import DEFAULT_DATA_DIR, StackOptions, redis_url_from
from baud.terminal.console import print_to_stderr
from baud.terminal.interruption import Interruption
from baud.terminal.render import RunView


@dataclass(frozen=True, slots=True)
class TailRequest:
    """The events to show: those of a thread or a run after `last_id`, of all types or some.

    Without `follow` a thread's stream ends when no run is active.
    """

    thread_or_run: str
    last_id: str | None
    types: tuple[str, ...] | None
    deltas: bool
    follow: bool


async def open_stream(baud: AsyncBaud, request: TailRequest) -> AsyncGenerator[Event, None]:
    """Return the requested stream; raises at once for an unknown id, or when no gateway answers."""
    named = await find_named(baud, request.thread_or_run)
    if named.run_id:
        return baud.run_stream(
            named.thread_id, named.run_id, request.last_id, types=request.types, deltas=request.deltas
        )
    return baud.stream(
        named.thread_id,
        request.last_id,
        types=request.types,
        deltas=request.deltas,
        until_completion=not request.follow,
        stay_when_idle=request.follow,
    )


async def _show(events: AsyncGenerator[Event, None], *, as_json: bool) -> None:
    view = RunView(Console(highlight=False), again=None)
    async with aclosing(events):
        async for event in events:
            if as_json:
                typer.echo(event.to_json())
            else:
                view.show(event)


async def _tail(request: TailRequest, *, url: str, api_key: str, as_json: bool, folder: Path) -> int:
    options = StackOptions(data_dir=folder, port=0, redis_url=redis_url_from(os.environ))
    async with (
        Interruption() as interruption,
        open_gateway(url, options, interruption, env=os.environ) as gateway,
        open_client(gateway.url, api_key) as baud,
    ):
        if request.follow and gateway.is_own:
            print_to_stderr("no gateway is running, so no new events can come: showing the stored events")
            request = replace(request, follow=False)
        await _show(await open_stream(baud, request), as_json=as_json)
        return 0
    return EXIT_STOPPED


def tail(
    thread_or_run: Annotated[str, typer.Argument(help="Id of a thread, or of a run.")],
    *,
    last_id: Annotated[str, typer.Option("--from", help="Show what comes after this event id; $: from now on.")] = "",
    follow: Annotated[bool, typer.Option(help="Wait for new events; else end when no run is active.")] = True,
    types: Annotated[str, typer.Option(help="Only events of these types, separated by commas.")] = "",
    deltas: Annotated[bool, typer.Option(help="Show text as it streams; else complete messages only.")] = True,
    url: Url = "",
    api_key_file: ApiKeyFile = None,
    as_json: Json = False,
    data_dir: DataFolder = DEFAULT_DATA_DIR,
) -> None:
    """Show the events of a thread or a run, and follow new ones.

    Examples:

        baud tail 4f1c...

        baud tail 4f1c... --no-follow --json

        baud tail 4f1c... --from 1700000000000-0

        baud tail 77ab... --types tool_bash,flow_completion --no-deltas
    """
    wanted = tuple(name.strip() for name in types.split(",")) if types else None
    request = TailRequest(thread_or_run, last_id or None, wanted, deltas=deltas, follow=follow)
    api_key = find_api_key(api_key_file, os.environ)
    work = _tail(request, url=url, api_key=api_key, as_json=as_json, folder=data_dir)
    raise typer.Exit(asyncio.run(work))
