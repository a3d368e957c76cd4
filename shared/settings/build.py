"""Turns the merged entries into Settings, table by table, and keeps every validation error with its origin."""

from collections.abc import Mapping

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from shared.config import Section
from shared.settings import schema
from shared.settings.model import Settings
from shared.settings.problem import Problem
from shared.settings.source import Entries

Values = dict[str, object]


def build_settings(entries: Entries, env: str) -> tuple[Settings | None, list[Problem]]:
    """Return the settings, or None and what is wrong; [llm.NAME] takes from [llm] what it does not set."""
    tables = _group(entries)
    members: Values = {"env": env, **tables.pop((), {})}
    named: dict[str, dict[str, Section]] = {"llm": {}, "tools": {}}
    problems: list[Problem] = []
    for table, values in tables.items():
        inherited = tables.get(("llm",), {}) if table[0] == "llm" else {}
        try:
            section = schema.model_of(table).model_validate({**inherited, **values})
        except ValidationError as error:
            problems += _problems(table, error, entries)
            continue
        if len(table) == 1:
            members[table[0]] = section
        else:
            named[table[0]][table[1]] = section
    members |= {"named_llm": named["llm"], "tools": named["tools"]}
    try:
        return Settings.model_validate(members), problems
    except ValidationError as error:
        return None, [*problems, *_problems((), error, entries)]


def _group(entries: Entries) -> dict[schema.KeyPath, Values]:
    tables: dict[schema.KeyPath, Values] = {}
    for path, entry in entries.items():
        if schema.is_named_table(path):
            tables.setdefault(path, {})
            continue
        key = schema.find_key(path)
        values = tables.setdefault(key.table, {})
        if key.option is None:
            values[key.name] = entry.value
        else:
            values[key.name] = {**_as_table(values.get(key.name)), key.option: entry.value}
    return tables


def _as_table(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _problems(table: schema.KeyPath, error: ValidationError, entries: Entries) -> list[Problem]:
    """Return one problem for each wrong key; what a named table inherits is reported where it stands."""
    found: dict[schema.KeyPath, Problem] = {}
    for details in error.errors(include_url=False, include_context=False, include_input=False):
        path = _entry_path((*table, *map(str, details["loc"])), entries)
        if path is not None and path not in found:
            found[path] = Problem(path, _sentence(path, details), entries[path])
    return list(found.values())


def _entry_path(path: schema.KeyPath, entries: Entries) -> schema.KeyPath | None:
    prefixes = (path[:length] for length in range(len(path), 0, -1))
    return next((prefix for prefix in prefixes if prefix in entries), None)


def _sentence(path: schema.KeyPath, details: ErrorDetails) -> str:
    message = details["msg"].removeprefix("Input ").removeprefix("Value error, ")
    description = schema.find_key(path).field.description
    return f"{message} ({description})" if description else message
