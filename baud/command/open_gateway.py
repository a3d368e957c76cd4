"""Finds a gateway: the named one, the one that runs on this machine, or one that is started."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from baud.command.server_parts import own_stack
from baud.sdk.errors import BaudClientError
from baud.sdk.gateway_address import DEFAULT_URL
from baud.sdk.health import fetch_health
from baud.stack_options import StackOptions
from baud.terminal.interruption import Interruption


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
    async with own_stack(options, interruption, env=env) as own:
        yield Gateway(own.url, is_own=True, options=own.options)
