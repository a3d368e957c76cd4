"""A local stack for as long as one command needs it, with its output in a log."""

import tempfile
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from baud.sdk.errors import DataDirBusyError, StackError
from baud.stack.local_stack import LocalStack
from baud.stack_options import DEFAULT_DATA_DIR, StackOptions
from baud.terminal.console import print_to_stderr
from baud.terminal.interruption import Interruption

_LOG_TAIL_BYTES = 4000


@dataclass(frozen=True, slots=True)
class OpenStack:
    """The gateway of a stack that was started; `options` let a later command find its threads, None when none can."""

    url: str
    options: str | None


@asynccontextmanager
async def open_stack(
    options: StackOptions, interruption: Interruption, *, env: Mapping[str, str]
) -> AsyncGenerator[OpenStack, None]:
    """Start a stack and stop it at the end of the block; in a temporary folder if another works in `data_dir`.

    Raises StackError, with the end of the stack's log, when it cannot be started.
    """
    async with AsyncExitStack() as exits:
        again: str | None = "" if options.data_dir == DEFAULT_DATA_DIR else f" --data-dir {options.data_dir}"
        try:
            stack = await _start(exits, options, interruption, env)
        except DataDirBusyError:
            print_to_stderr(f"{options.data_dir} is used by another Baud; this run's data goes to a temporary folder")
            folder = exits.enter_context(tempfile.TemporaryDirectory(prefix="baud-", ignore_cleanup_errors=True))
            stack = await _start(exits, replace(options, data_dir=Path(folder)), interruption, env)
            again = again if options.redis_url else None
        yield OpenStack(stack.url, options=again)


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
    stack = LocalStack(options, env=env, report=print_to_stderr, output=log.fileno())
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
        print_to_stderr(line)
        yield


def _log_since(path: Path, begin: int) -> str:
    with path.open("rb") as log:
        log.seek(max(begin, path.stat().st_size - _LOG_TAIL_BYTES))
        return log.read().decode(errors="replace")
