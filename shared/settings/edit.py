"""Changes one key of an environment's own file, after checking that the whole result is good."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import tomli_w
from pydantic import SecretStr

from shared.errors import ConfigurationError
from shared.settings import schema
from shared.settings.load import load_with_origins
from shared.settings.model import Settings
from shared.settings.problem import Entry, Problem, refusal
from shared.settings.source import find_files, read_toml


@dataclass(frozen=True, slots=True)
class Change:
    """What was written where; `overriding_variable` is a variable that is set and still wins."""

    path: Path
    overriding_variable: str | None


def set_key(environ: Mapping[str, str], start: Path, name: str, text: str) -> Change:
    """Write the key `name` (dotted) into config.{ENV}.toml; the file's own comments are not kept.

    Raises ConfigurationError, and writes nothing, when the files with the change in them are not valid.
    """
    files = find_files(environ, start)
    path = tuple(name.split("."))
    try:
        key = schema.find_key(path)
    except schema.UnknownKeyError as error:
        raise refusal([Problem(path, str(error), Entry(text, "given"))]) from error
    only_files = {variable: environ[variable] for variable in ("ENV", "BAUD_CONFIG") if variable in environ}
    current = read_toml(files.overlay)
    trial = load_with_origins(only_files, start, overlay=_with(current, path, schema.decode(key, text)))
    _write(files.overlay, _with(current, path, _typed(trial.settings, key)))
    return Change(files.overlay, key.variable if environ.get(key.variable) else None)


def _with(tables: Mapping[str, object], path: schema.KeyPath, value: object) -> dict[str, object]:
    head, *rest = path
    if not rest:
        return {**tables, head: value}
    inner = tables.get(head)
    return {**tables, head: _with(inner if isinstance(inner, dict) else {}, tuple(rest), value)}


def _typed(settings: Settings, key: schema.Key) -> object:
    section = dict(settings.tables()).get(key.table, settings)
    value = getattr(section, key.name)
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    plain = section.model_dump(mode="json", include={key.name})[key.name]
    return plain if key.option is None else plain[key.option]


def _write(path: Path, tables: Mapping[str, object]) -> None:
    target = path.resolve()
    temporary = target.with_name(f"{target.name}.new")
    try:
        temporary.write_text(tomli_w.dumps(tables), encoding="utf-8")
        if target.exists():
            shutil.copymode(target, temporary)
        temporary.replace(target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error
