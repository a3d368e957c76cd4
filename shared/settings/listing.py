"""The configuration as rows that a person can read: key, value with secrets masked, where it came from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import SecretStr

from shared.redaction import MASK, is_secret_name, redact_url
from shared.settings.load import LoadedSettings
from shared.settings.schema import KeyPath


@dataclass(frozen=True, slots=True)
class Row:
    """One key; `value` is JSON."""

    key: str
    value: object
    origin: str


def list_rows(loaded: LoadedSettings) -> list[Row]:
    """Return a row for every key, in the order of config.toml."""
    settings, origins = loaded.settings, loaded.origins
    top = {("env",): settings.env, ("data_dir",): str(settings.data_dir)}
    rows = [Row(".".join(path), value, origins.get(path, "default")) for path, value in top.items()]
    for table, section in settings.tables():
        dumped = section.model_dump(mode="json")
        for name, plain in dumped.items():
            path, value = (*table, name), getattr(section, name)
            if isinstance(value, Mapping):
                rows += _option_rows(path, plain, origins)
            else:
                shown = _mask(name, value) if _may_be_secret(name, value) else plain
                rows.append(Row(".".join(path), shown, origins.get(path, "default")))
    return rows


def _option_rows(path: KeyPath, options: Mapping[str, object], origins: Mapping[KeyPath, str]) -> Iterator[Row]:
    for name, value in options.items():
        here = (*path, name)
        shown = _mask(name, value) if _may_be_secret(name, value) else value
        yield Row(".".join(here), shown, origins.get(here) or origins.get(path, "default"))


def _may_be_secret(name: str, value: object) -> bool:
    return isinstance(value, SecretStr) or (isinstance(value, str) and (is_secret_name(name) or "://" in value))


def _mask(name: str, value: object) -> str:
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    if not text or not is_secret_name(name):
        return redact_url(text)
    return MASK
