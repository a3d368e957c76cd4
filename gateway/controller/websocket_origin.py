"""Which web pages may open a WebSocket: browsers send cookies along, and CORS does not apply to it."""

from collections.abc import Container
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from shared.errors import ForeignOriginError


def check_origin(headers: Headers, allow_origins: Container[str]) -> None:
    """Accept a request without an origin, from this gateway's own address, or from an allowed origin.

    Raises ForeignOriginError.
    """
    origin = headers.get("origin")
    if origin is None or "*" in allow_origins or origin in allow_origins:
        return
    # Not the scheme: behind a proxy that ends TLS, only the host is what the browser asked for.
    try:
        host = urlsplit(origin).netloc.lower()
    except ValueError as error:  # such as http://[x
        raise ForeignOriginError from error
    if not host or host != headers.get("host", "").lower():
        raise ForeignOriginError
