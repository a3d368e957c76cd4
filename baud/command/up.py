"""`baud up`: the complete backend on this machine, until a signal stops it."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from baud.command.server_parts import serve_stack
from baud.stack_options import DEFAULT_DATA_DIR, StackOptions, redis_url_from


def up(
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the gateway; 0 picks a free one.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, help="How many modem processes carry runs.")] = 1,
    data_dir: Annotated[Path, typer.Option(help="Where Redis and the sandboxes keep their files.")] = DEFAULT_DATA_DIR,
    model: Annotated[str, typer.Option(help="LiteLLM name of the model, e.g. anthropic/claude-sonnet-4-5.")] = "",
    host: Annotated[str, typer.Option(help="Address that the gateway listens on.")] = "127.0.0.1",
) -> None:
    """Start Redis, gateway and modems on this machine, until Ctrl-C.

    When all answer, one line goes to standard output: `baud ready gateway=URL redis=URL`; everything else goes to
    standard error. What dies is started again. With REDIS_URL set, that Redis is used and none is started; else the
    password of the embedded one is in DATA_DIR/redis/password.

    Examples:

        baud up

        baud up --port 0 --workers 2 --data-dir /var/lib/baud

        BAUD_AUTH__MODE=api_key baud up --host 0.0.0.0
    """
    options = StackOptions(
        data_dir=data_dir,
        host=host,
        port=port,
        workers=workers,
        model=model,
        redis_url=redis_url_from(os.environ),
    )
    asyncio.run(serve_stack(options))
