"""`baud tail`: what happened on a thread, and what happens next."""

import asyncio
import os
from contextlib import aclosing
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from client.command.options import DataFolder, Json, Token, Url
from client.command.run import EXIT_STOPPED
from client.interruption import Interruption
from client.open_gateway import open_gateway
from client.render import RunView
from client.say import say
from client.sdk import AsyncBaud
from client.stack_plan import DEFAULT_DATA_DIR, StackOptions, redis_url_from


async def show_thread(baud: AsyncBaud, thread_id: str, *, last_id: str, follow: bool, as_json: bool) -> None:
    """Show the events of a thread after `last_id`; without `follow` up to the moment when no run is active."""
    await baud.thread(thread_id)  # an unknown thread or a dead gateway is said at once
    view = RunView(Console(highlight=False), again=None)
    async with aclosing(baud.stream(thread_id, last_id or None, until_completion=not follow)) as events:
        async for event in events:
            if as_json:
                typer.echo(event.to_json())
            else:
                view.show(event)


async def _tail(
    thread_id: str, *, url: str, token: str, last_id: str, follow: bool, as_json: bool, folder: Path
) -> int:
    options = StackOptions(data_dir=folder, port=0, redis_url=redis_url_from(os.environ))
    async with (
        Interruption() as interruption,
        open_gateway(url, options, interruption, env=os.environ) as gateway,
        AsyncBaud(gateway.url, token=token or None) as baud,
    ):
        if follow and gateway.is_own:
            say("no gateway is running, so nobody else can add to this thread: showing what there is")
        may_follow = follow and not gateway.is_own
        await show_thread(baud, thread_id, last_id=last_id, follow=may_follow, as_json=as_json)
        return 0
    return EXIT_STOPPED


def tail(
    thread: Annotated[str, typer.Argument(help="Id of the thread.")],
    *,
    last_id: Annotated[str, typer.Option("--from", help="Show what comes after this event id; $: from now on.")] = "",
    follow: Annotated[bool, typer.Option(help="Stay for what comes; else end when no run is active.")] = True,
    url: Url = "",
    token: Token = "",
    as_json: Json = False,
    data_dir: DataFolder = DEFAULT_DATA_DIR,
) -> None:
    """Show all that happened on a thread, and what happens next.

    Examples:

        baud tail 4f1c...

        baud tail 4f1c... --no-follow --json

        baud tail 4f1c... --from 1700000000000-0
    """
    work = _tail(thread, url=url, token=token, last_id=last_id, follow=follow, as_json=as_json, folder=data_dir)
    raise typer.Exit(asyncio.run(work))
