"""`baud threads share` and `unshare`: who else may use a thread."""

import asyncio
import os
from typing import Annotated

import typer

from baud import ShareRole
from baud.command.open_client import find_api_key, open_client
from baud.command.options import ApiKeyFile, ExistingUrl
from baud.sdk.gateway_address import DEFAULT_URL

Thread = Annotated[str, typer.Argument(help="Id of the thread.")]
User = Annotated[str, typer.Argument(help="Id of the user, as the gateway knows it.")]


async def _set_role(thread_id: str, user: str, role: ShareRole | None, *, url: str, api_key: str) -> None:
    async with open_client(url or DEFAULT_URL, api_key) as baud:
        if role is None:
            await baud.unshare(thread_id, user)
            typer.echo(f"not shared with {user}")
        else:
            await baud.share(thread_id, user, role)
            typer.echo(f"shared with {user} as {role}")


def share(
    thread: Thread,
    user: User,
    *,
    role: Annotated[ShareRole, typer.Option(help="viewer: may read it; editor: may work on it.")] = ShareRole.VIEWER,
    url: ExistingUrl = "",
    api_key_file: ApiKeyFile = None,
) -> None:
    """Let another user of your tenant use a thread, or change what the user may do.

    Examples:

        baud threads share 4f1c... alice

        baud threads share 4f1c... alice --role editor
    """
    asyncio.run(_set_role(thread, user, role, url=url, api_key=find_api_key(api_key_file, os.environ)))


def unshare(thread: Thread, user: User, *, url: ExistingUrl = "", api_key_file: ApiKeyFile = None) -> None:
    """Let a user no longer use a thread of yours.

    Examples:

        baud threads unshare 4f1c... alice
    """
    asyncio.run(_set_role(thread, user, None, url=url, api_key=find_api_key(api_key_file, os.environ)))
