"""`baud answer`: answers a run that waits for a person."""

import asyncio
import os
from typing import Annotated

import typer

from baud.command.find_run import find_named
from baud.command.open_client import find_api_key, open_client
from baud.command.options import ApiKeyFile, ExistingUrl
from baud.sdk.errors import BaudClientError
from baud.sdk.gateway_address import DEFAULT_URL
from shared.contract.run import Decision


async def _answer(some_id: str, run_id: str, text: str, decision: Decision | None, *, url: str, api_key: str) -> None:
    async with open_client(url or DEFAULT_URL, api_key) as baud:
        named = await find_named(baud, some_id, run_id)
        waiting = named.run_id or (await baud.thread(named.thread_id)).active_run_id
        if not waiting:
            raise BaudClientError(f"no run of thread {named.thread_id} is active, so no run waits for an answer")
        await baud.send_input(named.thread_id, waiting, text, decision=decision)
        typer.echo(f"answered; watch it go on with: baud tail {named.thread_id}")


def answer(
    thread_or_run: Annotated[str, typer.Argument(help="Id of the run, or of its thread.")],
    text: Annotated[str, typer.Argument(help="The answer, or a remark to a decision.")] = "",
    *,
    approve: Annotated[bool, typer.Option("--approve", help="Let the agent make the call.")] = False,
    deny: Annotated[bool, typer.Option("--deny", help="Do not let it.")] = False,
    run: Annotated[str, typer.Option(help="Id of the run; else the active one.")] = "",
    url: ExistingUrl = "",
    api_key_file: ApiKeyFile = None,
) -> None:
    """Answer a run that waits for a person.

    Examples:

        baud answer 4f1c... "green tea"

        baud answer 4f1c... --approve
    """
    if approve and deny:
        raise typer.BadParameter("give either --approve or --deny")
    if not (approve or deny or text.strip()):
        raise typer.BadParameter("give an answer, --approve or --deny")
    decision = Decision.APPROVE if approve else Decision.DENY if deny else None
    api_key = find_api_key(api_key_file, os.environ)
    asyncio.run(_answer(thread_or_run, run, text, decision, url=url, api_key=api_key))
