"""Finds a gateway: the named one, the one that runs on this machine, or one that is started."""

import tempfile
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
from rich.console import Console

from baud.sdk.errors import BaudClientError, DataDirBusyError, StackError
from baud.sdk.gateway_address import DEFAULT_URL
from baud.sdk.health import fetch_health
from baud.stack.local_stack import LocalStack
from baud.stack.stack_plan import DEFAULT_DATA_DIR, StackOptions
from baud.terminal.interruption import Interruption
from baud.terminal.stderr import say

_LOG_TAIL_BYTES = 4000


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway that answers; `is_own` when it was started for this command and ends with it.

    `options` let a later command find the same threads; None when they are not kept.
    """

    url: str
    is_own: bool
    options: str | None = ""


async def _answers_as_baud(url: str) -> bool:
    async with httpx.AsyncClient(base_url=url, verify=False, trust_env=False) as http:  # noqa: S501 - loopback
        return await fetch_health(http) is not None


@asynccontextmanager
async def open_gateway(
    url: str,
    options: StackOptions,
    interruption: Interruption,
    *,
    env: Mapping[str, str],
    default_url: str = DEFAULT_URL,
) -> AsyncGenerator[Gateway, None]:
    """Give the gateway at `url`, else the one at the default address, else one of a stack started from `options`."""
    named = url or (default_url if await _answers_as_baud(default_url) else "")
    if named and options.model:
        raise BaudClientError(f"--model is for a stack of its own, but {named} is there already; leave --model out")
    if named:
        yield Gateway(named, is_own=False, options=f" --url {url}" if url else "")
        return
    async with AsyncExitStack() as exits:
        again: str | None = "" if options.data_dir == DEFAULT_DATA_DIR else f" --data-dir {options.data_dir}"
        try:
            stack = await _start(exits, options, interruption, env)
        except DataDirBusyError:
            say(f"{options.data_dir} is used by another Baud; this run's data goes to a temporary folder")
            folder = exits.enter_context(tempfile.TemporaryDirectory(prefix="baud-", ignore_cleanup_errors=True))
            stack = await _start(exits, replace(options, data_dir=Path(folder)), interruption, env)
            again = again if options.redis_url else None
        yield Gateway(stack.url, is_own=True, options=again)


async def _start(
    exits: AsyncExitStack, options: StackOptions, interruption: Interruption, env: Mapping[str, str]
) -> LocalStack:
    log_path = options.data_dir / "logs" / "stack.log"
    try:
        log_path.parent.mkdir(parents=True, exist_ok=True)
        log = exits.enter_context(log_path.open("ab"))
    except OSError as error:
        raise StackError(f"cannot write {log_path}: {error.strerror}; give another --data-dir") from error
    begin = log.tell()
    stack = LocalStack(options, env=env, say=say, output=log.fileno())
    interruption.on_second = stack.hurry
    try:
        with _progress(f"starting Baud in {options.data_dir} (log: {log_path})"):
            return await exits.enter_async_context(stack)
    except DataDirBusyError:
        raise
    except StackError as error:
        raise StackError(f"{error}\n{_log_since(log_path, begin)}".rstrip()) from error


@contextmanager
def _progress(line: str) -> Generator[None, None, None]:
    console = Console(stderr=True)
    if console.is_terminal:
        with console.status(line):
            yield
    else:
        say(line)
        yield


def _log_since(path: Path, begin: int) -> str:
    with path.open("rb") as log:
        log.seek(max(begin, path.stat().st_size - _LOG_TAIL_BYTES))
        return log.read().decode(errors="replace")
