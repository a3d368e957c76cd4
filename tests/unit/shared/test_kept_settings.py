"""A configuration of 46a4c39 is read: every key, under the same name, from the file and from variables."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest
from pydantic import SecretStr

from shared.settings.load import load_settings
from shared.settings.model import Settings
from tests.kept_samples import FOLDER

KeyPath = tuple[str, ...]

API_KEY: Final = "key-from-the-environment"
# What 46a4c39 itself read of the kept config.toml.
READ: Final = json.loads((FOLDER / "settings.json").read_text())


def leaves(values: Mapping[str, object], path: KeyPath = ()) -> Iterator[tuple[KeyPath, object]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from leaves(value, (*path, name))
        else:
            yield (*path, name), value


KEYS: Final = {path: value for path, value in leaves(READ) if path != ("env",)}


def found(settings: Settings, path: KeyPath) -> object:
    value: object = settings
    for name in path:
        value = value[name] if isinstance(value, Mapping) else getattr(value, name)
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return list(value) if isinstance(value, tuple) else value


def variable(path: KeyPath) -> str:
    name = "__".join(path).upper().replace("NAMED_LLM", "LLM")
    return f"BAUD_{name}"


def as_text(value: object) -> str:
    if isinstance(value, list):
        return ",".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.fixture(scope="module")
def from_file() -> Settings:
    return load_settings({"BAUD_LLM__API_KEY": API_KEY}, FOLDER)


@pytest.fixture(scope="module")
def from_variables(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    environ = {variable(path): as_text(value) for path, value in KEYS.items() if value is not None}
    return load_settings(environ, tmp_path_factory.mktemp("empty"))


@pytest.mark.parametrize("path", KEYS, ids=".".join)
def test_a_key_of_a_file_has_the_value_it_had(path: KeyPath, from_file: Settings) -> None:
    value = found(from_file, path)
    assert (str(value) if isinstance(value, Path) else value) == KEYS[path]


@pytest.mark.parametrize("path", KEYS, ids=".".join)
def test_a_key_of_a_variable_has_the_value_it_had(path: KeyPath, from_variables: Settings) -> None:
    value = found(from_variables, path)
    assert (str(value) if isinstance(value, Path) else value) == KEYS[path]


def test_the_kept_file_leaves_no_key_at_its_default() -> None:
    same = {path for path, value in KEYS.items() if path[0] != "named_llm" and value == default_of(path)}
    # There is one provider, and a tool's limits have no default of their own.
    assert same == {("sandbox", "provider")}


def default_of(path: KeyPath) -> object:
    return object() if path[0] == "tools" else found(Settings(), path)


def test_the_file_that_was_written_for_users_still_means_the_defaults() -> None:
    settings = load_settings({"BAUD_CONFIG": "template.toml"}, FOLDER)
    # Its default is 0 now: text is written at once. Who has the old file keeps the old pause.
    assert settings.stream.flush_interval == 0.025
    stream = settings.stream.model_copy(update={"flush_interval": Settings().stream.flush_interval})
    assert settings.model_copy(update={"stream": stream}) == Settings()
