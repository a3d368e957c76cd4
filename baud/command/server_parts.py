"""What starts services of Baud. The distribution baud-client has no `baud.stack`: there, each is a StackError."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

from baud.sdk.errors import StackError
from baud.sdk.gateway_address import DEFAULT_URL
from baud.stack_options import StackOptions
from baud.terminal.interruption import Interruption

try:
    from baud.stack.open_stack import OpenStack, open_stack
    from baud.stack.serve import serve
except ModuleNotFoundError as error:
    if not str(error.name).startswith("baud.stack"):
        raise
    _HAS_STACK = False
else:
    _HAS_STACK = True

_REPLACE = "install the server instead: pip uninstall baud-client, then pip install baud"


def own_stack(
    options: StackOptions, interruption: Interruption, *, env: Mapping[str, str]
) -> "AbstractAsyncContextManager[OpenStack]":
    """Return the context in which a stack of the command's own runs."""
    if not _HAS_STACK:
        raise StackError(
            f"no gateway answers at {DEFAULT_URL}, and baud-client has none to start: give --url, or {_REPLACE}"
        )
    return open_stack(options, interruption, env=env)


async def serve_stack(options: StackOptions) -> None:
    """Run a stack until a signal stops it."""
    if not _HAS_STACK:
        raise StackError(f"baud up starts Redis, gateway and modems, which baud-client does not have: {_REPLACE}")
    await serve(options)
