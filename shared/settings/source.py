"""Where values come from: config.toml, the overlay of the environment beside it, and variables."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from shared.errors import ConfigurationError
from shared.settings import schema
from shared.settings.problem import Entry, Problem, holds_secret

Entries = dict[schema.KeyPath, Entry]

PREFIX: Final = "BAUD_"
PROVIDER_KEYS: Final = (
    "ANTHROPIC_API_KEY", "AZURE_API_KEY", "COHERE_API_KEY", "DEEPSEEK_API_KEY", "GEMINI_API_KEY", "GROQ_API_KEY",
    "MISTRAL_API_KEY", "OPENAI_API_KEY", "OPENROUTER_API_KEY", "XAI_API_KEY",
)  # fmt: skip
_USUAL_NAMES: Final = MappingProxyType({"REDIS_URL": ("redis", "url")})
# Read by the loader and by the client, the last one by earlier versions of it.
_NOT_SETTINGS: Final = frozenset({"BAUD_API_KEY", "BAUD_CONFIG", "BAUD_URL", "BAUD_TOKEN"})
_ENV_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
# Kubernetes gives every pod such variables for each Service, so a Service named baud-... makes BAUD_... ones.
_SERVICE_LINK: Final = re.compile(r"BAUD_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)")
_SERVICE_ADDRESS: Final = re.compile(r"(tcp|udp|sctp)://")


@dataclass(frozen=True, slots=True)
class Files:
    """The two files of a configuration, whether they exist or not, and the environment's name."""

    base: Path
    overlay: Path
    env: str


def find_files(environ: Mapping[str, str], start: Path) -> Files:
    """Find the files by BAUD_CONFIG and ENV, else config.toml in `start`."""
    env = environ.get("ENV") or "local"
    if not _ENV_WORD.fullmatch(env):
        raise ConfigurationError(f"ENV = {env!r} is not a word of letters, digits, _ and -; use local, dev or prod")
    chosen = environ.get("BAUD_CONFIG")
    base = start / (chosen or "config.toml")
    if chosen and not base.is_file():
        raise ConfigurationError(f"BAUD_CONFIG names {base}, which is not a file; `baud config init` writes one")
    return Files(base, base.with_name(f"config.{env}.toml"), env)


def read_toml(path: Path) -> dict[str, object]:
    """Return the file's tables; nothing for an absent file. Raises ConfigurationError with file and line."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}") from error
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error


def file_entries(tables: Mapping[str, object], origin: str) -> tuple[Entries, list[Problem]]:
    """Return the keys of a file, and what is wrong with them: unknown ones, secrets."""
    entries: Entries = {}
    problems: list[Problem] = []
    for path, value in _leaves(tables):
        entry = Entry(value, origin, is_file=True)
        problem = _file_problem(path, entry)
        if problem is None:
            entries[path] = entry
        else:
            problems.append(problem)
    return entries, problems


def _leaves(table: Mapping[str, object], path: schema.KeyPath = ()) -> Iterator[tuple[schema.KeyPath, object]]:
    for name, value in table.items():
        here = (*path, name)
        if isinstance(value, dict) and value:
            yield from _leaves(value, here)
        elif value != {} or schema.is_named_table(here) or not schema.is_table(here):
            yield here, value


def _file_problem(path: schema.KeyPath, entry: Entry) -> Problem | None:
    if entry.value == {} and schema.is_named_table(path):
        return None
    try:
        key = schema.find_key(path)
    except schema.UnknownKeyError as error:
        return Problem(path, str(error), entry)
    if not holds_secret(path[-1], entry.value):
        return None
    advice = f"a secret does not belong in a file: take it out and set {_variable_for(key, path)} in the environment"
    return Problem(path, advice, entry, secret=True)


def _variable_for(key: schema.Key, path: schema.KeyPath) -> str:
    if key.name == "api_key":
        return f"{key.variable}, or the provider's own variable such as ANTHROPIC_API_KEY,"
    return next((name for name, target in _USUAL_NAMES.items() if target == path), key.variable)


def variable_entries(environ: Mapping[str, str], named: Entries) -> tuple[Entries, list[Problem]]:
    """Return the keys that variables set; empty ones count as absent.

    `named` are the keys known so far: [tools.MyTool] of a file is what BAUD_TOOLS__MYTOOL__... means.
    """
    entries: Entries = {path: Entry(environ[name], name) for name, path in _USUAL_NAMES.items() if environ.get(name)}
    problems: list[Problem] = []
    tables = {_upper(path[:2]): path[:2] for path in named}
    for name in sorted(environ):
        if not environ[name] or not name.startswith(PREFIX) or _is_foreign(name, environ[name]):
            continue
        parts = tuple(name.removeprefix(PREFIX).lower().split("__"))
        path = (*tables.get(_upper(parts[:2]), parts[:2]), *parts[2:])
        try:
            entries[path] = Entry(schema.decode(schema.find_key(path), environ[name]), name)
        except schema.UnknownKeyError as error:
            problems.append(Problem((name,), f"{error}{_meant(name)}", Entry(environ[name], "environment")))
    return entries, problems


def _upper(path: schema.KeyPath) -> schema.KeyPath:
    return tuple(part.upper() for part in path)


def _is_foreign(name: str, value: str) -> bool:
    if name in _NOT_SETTINGS or _SERVICE_LINK.fullmatch(name):
        return True
    return name.endswith("_PORT") and _SERVICE_ADDRESS.match(value) is not None


def _meant(name: str) -> str:
    if "__" in name or name.count("_") < 2:
        return ""
    section, key = name.removeprefix(PREFIX).split("_", 1)
    return f"; a section and its key are joined by two underscores: {PREFIX}{section}__{key}"
