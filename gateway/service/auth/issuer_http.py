"""Fetches JSON documents of an issuer: over https, without redirects, within limits of time and size."""

from typing import Any, Final

import httpx
import orjson

from shared.errors import IssuerUnavailableError
from shared.secure_url import secure_url_fault

_MAX_BYTES: Final = 262_144  # an issuer of many keys with their certificates has 60 KB
# What is compressed could be of any size once it is not.
_HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "identity"}


class IssuerHttp:
    """The HTTP client of one issuer."""

    def __init__(
        self, *, timeout_seconds: float, trust_env: bool, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._http = httpx.AsyncClient(
            timeout=timeout_seconds,
            follow_redirects=False,
            trust_env=trust_env,
            transport=transport,
            headers=_HEADERS,
        )

    async def get_object(self, url: str) -> dict[str, Any]:
        """Return the JSON object at a URL. Raises IssuerUnavailableError with what went wrong, for the log."""
        if fault := secure_url_fault(url):
            raise IssuerUnavailableError(f"the address of the issuer's keys, or of its document, {fault}")
        try:
            document = orjson.loads(await self._read(url))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise IssuerUnavailableError(f"{url} cannot be read: {type(error).__name__} {error}") from error
        except orjson.JSONDecodeError as error:
            raise IssuerUnavailableError(f"{url} answers with what is not JSON") from error
        if not isinstance(document, dict):
            raise IssuerUnavailableError(f"{url} answers with what is not a JSON object")
        return document

    async def _read(self, url: str) -> bytes:
        body = bytearray()
        async with self._http.stream("GET", url) as response:
            if response.status_code != httpx.codes.OK:
                raise IssuerUnavailableError(f"{url} answers {response.status_code}")
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise IssuerUnavailableError(f"{url} answers compressed, though it was asked not to")
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _MAX_BYTES:
                    raise IssuerUnavailableError(f"{url} answers with more than {_MAX_BYTES} bytes")
        return bytes(body)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()
