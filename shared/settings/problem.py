"""What is wrong with one key, in one line that names the key, the value, where it came from and what is allowed."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pydantic import SecretStr

from shared.errors import ConfigurationError
from shared.redaction import MASK, Redactor, is_secret_name

_LONGEST_VALUE: Final = 80  # characters; enough to recognise it


@dataclass(frozen=True, slots=True)
class Entry:
    """A value as one source gives it; `origin` is the source's name as `baud config show` prints it."""

    value: object
    origin: str
    is_file: bool = False


@dataclass(frozen=True, slots=True)
class Problem:
    """One line of a ConfigurationError."""

    path: tuple[str, ...]
    message: str
    entry: Entry | None = None
    secret: bool = False

    def __str__(self) -> str:
        name = ".".join(self.path)
        if self.entry is None:
            return f"{name}: {self.message}"
        value = self.entry.value
        is_secret = self.secret or holds_secret(self.path[-1], value) or _names_somebody(value)
        shown = MASK if is_secret else show(value)
        return f"{name} = {shown} ({self.entry.origin}): {self.message}"


def holds_secret(name: str, value: object) -> bool:
    """Whether a value must not be shown: by its key's name, or because it looks like a key or a password."""
    if isinstance(value, SecretStr):
        return bool(value.get_secret_value())
    if isinstance(value, list | tuple):
        return any(holds_secret(name, item) for item in value)
    return isinstance(value, str) and bool(value) and (is_secret_name(name) or Redactor().redact(value) != value)


def _names_somebody(value: object) -> bool:
    """Whether it may be a URL with a password, which is not recognised where it is not encoded as it has to be."""
    return isinstance(value, str) and "://" in value and "@" in value


def show(value: object) -> str:
    """Return the value as an error shows it, cut to a sensible length."""
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "..."


def refusal(problems: Iterable[Problem]) -> ConfigurationError:
    """Return the error that lists all problems, one a line."""
    return ConfigurationError("\n".join(["the configuration cannot be used:", *(f"  {each}" for each in problems)]))
