"""Where a gateway is and how a client introduces itself to it."""

from client.errors import BaudClientError

DEFAULT_URL = "http://127.0.0.1:8000"


def gateway_url(text: str) -> str:
    """Return the base address, checked; raises BaudClientError for what is no http or https URL."""
    if not text.startswith(("http://", "https://")):
        raise BaudClientError(f"the gateway's address must begin with http:// or https://, not {text!r}")
    return text.rstrip("/")


def request_headers(token: str | None) -> dict[str, str]:
    """Return the headers of every request."""
    headers = {"User-Agent": "baud-client"}
    return headers | ({"Authorization": f"Bearer {token}"} if token else {})
