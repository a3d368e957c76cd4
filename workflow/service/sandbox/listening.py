"""Waits until something accepts connections on a port of this machine."""

import asyncio
from typing import Final

from workflow.errors import SandboxError

_HOSTS: Final = {"127.0.0.1": "127.0.0.1", "::1": "[::1]"}  # as connected to: as written in a URL
_POLL_SECONDS: Final = 0.1
_CONNECT_SECONDS: Final = 1.0
_MAX_PORT: Final = 65535


async def first_listening_host(port: int, wait_seconds: float) -> str:
    """Return the loopback host, as a URL has it, on which the port answers; SandboxError when none does in time."""
    if not 1 <= port <= _MAX_PORT:
        raise SandboxError(f"{port} is not a port. Give one from 1 to {_MAX_PORT}.")
    try:
        async with asyncio.timeout(wait_seconds):
            while True:
                for address, host in _HOSTS.items():
                    if await _accepts(address, port):
                        return host
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError as error:
        raise SandboxError(
            f"Nothing listens on port {port} after {wait_seconds:g} s. Start the server first with is_long_running."
        ) from error


async def _accepts(address: str, port: int) -> bool:
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(address, port)
    except OSError:  # refused, no such address family, or too slow
        return False
    writer.close()
    return True
