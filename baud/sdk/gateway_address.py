"""The addresses of gateways."""

import logging
from collections.abc import Sequence
from functools import cache
from ipaddress import ip_address

import httpx

from baud.sdk.errors import BaudClientError

DEFAULT_URL = "http://127.0.0.1:8000"

_log = logging.getLogger(__name__)


def gateway_url(text: str) -> str:
    """Return the base address, checked; raises BaudClientError for what is no http or https URL."""
    if not text.startswith(("http://", "https://")):
        raise BaudClientError(f"the gateway's address must begin with http:// or https://, not {text!r}")
    try:
        httpx.URL(text)
    except httpx.InvalidURL as error:
        raise BaudClientError(f"the gateway's address {text!r} cannot be read: {error}") from error
    return text.rstrip("/")


class Gateways:
    """The gateways of one Baud, any of which may be asked; `current` is the one that answered last."""

    def __init__(self, urls: str | Sequence[str]) -> None:
        given = [urls] if isinstance(urls, str) else urls
        if not given:
            raise BaudClientError("the list of gateways is empty; give at least one address")
        self._urls = [gateway_url(url) for url in given]
        self._position = 0

    def __len__(self) -> int:
        return len(self._urls)

    @property
    def current(self) -> str:
        """The base address to talk to."""
        return self._urls[self._position]

    def leave(self, url: str) -> None:
        """Switch to the next gateway, unless another user of this list has left `url` already."""
        if url == self.current:
            self._position = (self._position + 1) % len(self._urls)

    def warn_of_clear_text(self) -> None:
        """Log a warning for each address to which a credential is sent so that others may read it."""
        for url in map(httpx.URL, self._urls):
            if url.scheme == "http" and not _is_loopback(url.host):
                _warn_of_clear_text(url.host)


@cache
def _warn_of_clear_text(host: str) -> None:
    """Warn once in this process: programs make many clients."""
    _log.warning(
        "the API key is sent to %s in clear text, where others on the network may read it; use https:// unless you "
        "trust the network",
        host,
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
