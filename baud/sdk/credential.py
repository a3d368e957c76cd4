"""The credential of every request: an API key or a token, fixed, or asked for anew before each request."""

import inspect
import os
import re
import warnings
from collections.abc import Awaitable, Callable, Generator
from typing import Final

import httpx

from baud.sdk.errors import BaudClientError

ApiKey = str | Callable[[], str]
AsyncApiKey = str | Callable[[], str | Awaitable[str]]

VARIABLE: Final = "BAUD_API_KEY"
_FORMER_VARIABLE: Final = "BAUD_TOKEN"
_RETURNED: Final = "what the function api_key returned"
_FORM: Final = re.compile(r"[!-~]+")  # what a header can carry, without spaces


class _Bearer(httpx.Auth):
    """Puts one key into a request; unlike a header, it wins over a user and password in the gateway's address."""

    def __init__(self, key: str) -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send the request with the key."""
        request.headers["Authorization"] = f"Bearer {self._key}"
        yield request


def _from_environment() -> str:
    former = os.environ.get(_FORMER_VARIABLE, "")
    if former and VARIABLE not in os.environ:
        warnings.warn(f"{_FORMER_VARIABLE} is called {VARIABLE} now; set that instead", FutureWarning, stacklevel=4)
        return former.strip()
    return os.environ.get(VARIABLE, "").strip()


class _Given:
    """What the user gave: nothing, a key, or a function."""

    def __init__(self, api_key: AsyncApiKey | None) -> None:
        origin = VARIABLE if api_key is None else "api_key"
        given = _from_environment() if api_key is None else api_key
        self._ask = given if callable(given) else None
        self._fixed = None if callable(given) or given == "" else _Bearer(usable_key(given, origin))

    @property
    def is_given(self) -> bool:
        """Whether there is one."""
        return self.can_refresh or self._fixed is not None

    @property
    def can_refresh(self) -> bool:
        """Whether another may be had once one is refused."""
        return self._ask is not None


class Credential(_Given):
    """The credential of the synchronous client; None takes it from BAUD_API_KEY, an empty text means none."""

    def auth(self) -> httpx.Auth | None:
        """Return what authenticates the next request, if anything does; an error of the user's function is raised."""
        return self._fixed if self._ask is None else _Bearer(usable_key(self._ask(), _RETURNED))


class AsyncCredential(_Given):
    """The credential of the asynchronous client, whose function may be asynchronous too."""

    async def auth(self) -> httpx.Auth | None:
        """Return what authenticates the next request, if anything does; an error of the user's function is raised."""
        if self._ask is None:
            return self._fixed
        key = self._ask()
        return _Bearer(usable_key(await key if inspect.isawaitable(key) else key, _RETURNED))


def usable_key(key: object, origin: str) -> str:
    """Return a key without space around it; raises BaudClientError, which does not show it, for what can be none."""
    # httpx would show a key with a line break in its error.
    if not isinstance(key, str):
        raise BaudClientError(f"{origin} must be a text, not {type(key).__name__}")
    key = key.strip()
    if not _FORM.fullmatch(key):
        why = "has a space, a line break or a character beyond ASCII inside" if key else "is empty"
        raise BaudClientError(f"{origin} cannot be an API key or a token: it {why}; give the key alone")
    return key
