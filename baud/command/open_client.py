"""The client of a command: with the user's API key, and with advice where a gateway refuses it."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from baud import AsyncBaud
from baud.sdk.credential import VARIABLE, usable_key
from baud.sdk.errors import AuthenticationError, BaudClientError

_LONGEST_KEY_BYTES: Final = 65_536


def find_api_key(file: Path | None, env: Mapping[str, str]) -> str:
    """Return the key in the file, or without a file that of BAUD_API_KEY; empty: there is none.

    Raises BaudClientError, which does not show it, for what cannot be a key.
    """
    if file is None:
        key = env.get(VARIABLE, "").strip()
        return usable_key(key, f"the value of {VARIABLE}") if key else ""
    try:
        with file.open("rb") as opened:
            text = opened.read(_LONGEST_KEY_BYTES + 1)
    except OSError as error:
        raise BaudClientError(f"cannot read the API key file {file}: {error.strerror}") from error
    if len(text) > _LONGEST_KEY_BYTES:
        raise BaudClientError(f"{file} is not an API key file: it has more than {_LONGEST_KEY_BYTES} bytes")
    return usable_key(text.decode(errors="replace"), f"what {file} holds")


@asynccontextmanager
async def open_client(url: str, api_key: str) -> AsyncGenerator[AsyncBaud, None]:
    """Give the client of a gateway; a refused credential is raised with what the user can do."""
    try:
        async with AsyncBaud(url, api_key=api_key) as baud:
            yield baud
    except AuthenticationError as error:
        advice = (
            "the gateway does not accept this API key; an admin makes another"
            if api_key
            else f"the gateway wants an API key: set {VARIABLE} or --api-key-file; an admin makes one"
        )
        raise BaudClientError(f"{advice} with: baud keys create ({error})") from error
