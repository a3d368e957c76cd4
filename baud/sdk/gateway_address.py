"""The addresses of gateways, and the headers of every request."""

from collections.abc import Sequence

from baud.sdk.errors import BaudClientError

DEFAULT_URL = "http://127.0.0.1:8000"


def gateway_url(text: str) -> str:
    """Return the base address, checked; raises BaudClientError for what is no http or https URL."""
    if not text.startswith(("http://", "https://")):
        raise BaudClientError(f"the gateway's address must begin with http:// or https://, not {text!r}")
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


def request_headers(token: str | None) -> dict[str, str]:
    """Return the headers of every request."""
    headers = {"User-Agent": "baud-client"}
    return headers | ({"Authorization": f"Bearer {token}"} if token else {})
