"""The `gateway` command: loads the settings, binds the address and serves until a signal stops it."""

import asyncio
import logging
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Annotated, Final

import typer
import uvicorn
from fastapi import FastAPI

from gateway.controller.dependencies import Services
from gateway.core.browser_checks import is_loopback
from gateway.core.credentials import check_credentials
from gateway.core.http_protocol import HttpProtocol, ServerConfig
from gateway.core.main import create_app
from gateway.core.open_files import fit_open_files
from gateway.core.socket_protocol import SocketProtocol
from shared.auth_config import AuthConfig, AuthMode
from shared.config import GatewayConfig
from shared.errors import ConfigurationError
from shared.log import configure_logging
from shared.settings.load import load_settings
from shared.store.connection import check_connection

# How long the parts of a shutdown may take, one after the other.
_STREAM_END_SECONDS: Final = 3.0  # for streams to send what they have begun and the reason of their end
_GRACE_SECONDS: Final = 10  # for requests that are being answered, including the longest wait for a broker
_CLOSE_SECONDS: Final = 3.0  # for our own connections, to a Redis that may not answer any more
_KEEP_ALIVE_SECONDS: Final = 75  # above the idle limit of common proxies, so that they close first
_PING_SECONDS: Final = 20.0  # below the idle limit of common proxies
# Messages above gateway.max_body_bytes get an error; above that times this, the connection is closed.
_MESSAGE_MARGIN: Final = 4
_BACKLOG: Final = 2048
# The threads that publish jobs compete with a busy loop: each would wait Python's default of 5 ms several times.
_SWITCH_SECONDS: Final = 0.0005
_EXIT_BAD_CONFIGURATION: Final = 2

_INSECURE: Final = (
    "--insecure was replaced: set auth.mode (BAUD_AUTH__MODE) to api_key, jwt or any; or, where anybody who reaches "
    "the gateway may do anything, set auth.anonymous_network (BAUD_AUTH__ANONYMOUS_NETWORK=true)"
)

logger = logging.getLogger(__name__)
app = typer.Typer(name="gateway", invoke_without_command=True)


class GatewayServer(uvicorn.Server):
    """A server that logs its address and stops in order: no new streams, no streams, no requests."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, url: str, *, shutdown_delay: float) -> None:
        super().__init__(config)
        self._app = app
        self._url = url
        self._delay = shutdown_delay
        self._exit_now = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then log the address."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        logger.info("gateway listens on %s", self._url)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Refuse new streams, end the open ones, then wait for everything else, each within its time limit."""
        services: Services = self._app.state.services
        services.stream_limits.stop()
        await self._wait_for_load_balancers()
        services.hub.shut_down()
        if not await services.stream_limits.wait_until_empty(_STREAM_END_SECONDS):
            logger.warning("aborting %d streams: their clients do not read", services.stream_limits.count)
        try:
            async with asyncio.timeout(_GRACE_SECONDS + _CLOSE_SECONDS):
                await super().shutdown(sockets)
        except TimeoutError:
            logger.warning("connections do not close in time; exiting without waiting for them")

    async def _wait_for_load_balancers(self) -> None:
        """Keep serving for the delay, so that load balancers see /ready fail before the port is closed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._delay):
                await self._exit_now.wait()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; a second Ctrl-C stops at once."""
        super().handle_exit(sig, frame)
        if self.force_exit and self._loop is not None:
            self._loop.call_soon_threadsafe(self._exit_now.set)


@app.callback()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0: a free one.")] = None,
    insecure: Annotated[bool, typer.Option("--insecure", hidden=True)] = False,
) -> None:
    """Serve the HTTP interface until SIGTERM or SIGINT.

    Example: baud gateway --port 8000
    """
    try:
        settings = load_settings(os.environ, Path.cwd())
        configure_logging(settings.log, env=settings.env, service="gateway")
        asyncio.run(check_connection(settings.redis))
        chosen_host = settings.gateway.host if host is None else host
        if insecure:
            raise ConfigurationError(_INSECURE)
        check_host(chosen_host, settings.auth)
        asyncio.run(check_credentials(settings))
        listener = bind(chosen_host, settings.gateway.port if port is None else port)
    except ConfigurationError as error:
        typer.echo(error.message, err=True)
        raise typer.Exit(_EXIT_BAD_CONFIGURATION) from error
    gateway = fit_open_files(settings.gateway).model_copy(update={"host": listener.getsockname()[0]})
    settings = settings.model_copy(update={"gateway": gateway})
    run_server(create_app(settings), listener, settings.gateway)


def check_host(host: str, auth: AuthConfig) -> None:
    """Raise ConfigurationError for an address that other machines can reach where nobody is asked who they are."""
    if auth.mode is not AuthMode.NONE or is_loopback(host):
        return
    if auth.anonymous_network:
        logger.warning("auth.mode is none: whoever reaches %s may do anything", host)
        return
    raise ConfigurationError(
        f"{host} can be reached from other machines, and auth.mode is none: nobody is asked who they are. Set "
        "auth.mode to api_key, jwt or any, or listen on 127.0.0.1. "
        "Where anybody may do anything, set auth.anonymous_network."
    )


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket; raises ConfigurationError that says why there is none."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigurationError(
            f"cannot listen on {host}:{port}: {reason}; choose another --host or --port"
        ) from error


def server_config(app: FastAPI, limits: GatewayConfig) -> uvicorn.Config:
    """Return how the gateway is served."""
    return ServerConfig(
        app,
        limits,
        loop="uvloop",
        http=HttpProtocol,
        ws=SocketProtocol,
        ws_max_size=_MESSAGE_MARGIN * limits.max_body_bytes,
        ws_ping_interval=_PING_SECONDS,
        # A ping waits for all that a slow client has not read yet: WriteTimeout checks its progress instead.
        ws_ping_timeout=None,
        # A message is encoded once for all clients; compression would be per client.
        ws_per_message_deflate=False,
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=bool(limits.trusted_proxies),
        forwarded_allow_ips=list(limits.trusted_proxies),
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )


def run_server(app: FastAPI, listener: socket.socket, limits: GatewayConfig) -> None:
    """Serve on a bound socket until a signal; returns when every stream has ended."""
    host, port = listener.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    sys.setswitchinterval(_SWITCH_SECONDS)
    signal.signal(signal.SIGTERM, _exit_cleanly)
    with suppress(KeyboardInterrupt):
        config = server_config(app, limits)
        GatewayServer(config, app, url, shutdown_delay=limits.shutdown_delay).run(sockets=[listener])


def _exit_cleanly(_signal: int, _frame: FrameType | None) -> None:
    """Exit with 0: uvicorn raises the signal again, whose default would make a clean stop look like a crash."""
    sys.exit(0)
