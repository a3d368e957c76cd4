"""Finds free ports on this machine."""

import secrets
import socket
from contextlib import suppress
from typing import Final

from baud.sdk.errors import PortInUseError

# Below what Linux and others use for outgoing connections (ip_local_port_range).
_LISTENING_PORTS: Final = range(20_000, 32_000)
_TRIES: Final = 20
WILDCARDS = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - compared with, never bound to by default


def _try_bind(host: str, port: int) -> int:
    family, kind, proto, _, address = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, proto) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT does not count as taken
        probe.bind(address)
        bound: int = probe.getsockname()[1]
        return bound


def _free_port(host: str) -> int:
    """Return a port that the system gives to no outgoing connection, so that it is still free a moment later."""
    for _ in range(_TRIES):
        with suppress(OSError):
            return _try_bind(host, secrets.choice(_LISTENING_PORTS))
    return _try_bind(host, 0)


def claim_port(host: str, port: int) -> int:
    """Return a port that can be listened on: `port` itself, or a free one when it is 0.

    Raises PortInUseError when the port is taken or the address is not this machine's.
    """
    try:
        return _try_bind(host, port) if port else _free_port(host)
    except OSError as error:
        raise PortInUseError(
            f"cannot listen on {host}:{port}: {error.strerror or error}; give another --port (0 picks a free one)"
        ) from error


def prefer_port(host: str, port: int) -> int:
    """Return `port` when it is free, else a free one."""
    try:
        return _try_bind(host, port)
    except OSError:
        return _free_port(host)


def base_url(host: str, port: int) -> str:
    """Return the address at which this machine reaches a server that listens on `host`."""
    reachable = "127.0.0.1" if host in WILDCARDS else host
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"
