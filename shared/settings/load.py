"""Puts the sources together in rising priority; the only way to Settings."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from shared.settings import schema
from shared.settings.build import build_settings
from shared.settings.check import find_conflicts
from shared.settings.model import Settings
from shared.settings.problem import Problem, refusal
from shared.settings.source import Entries, file_entries, find_files, read_toml, variable_entries


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """The settings, and for every key that some source set the name of that source."""

    settings: Settings
    origins: Mapping[schema.KeyPath, str]


def load_settings(env: Mapping[str, str], start: Path) -> Settings:
    """Load from the variables `env` and the folder `start`, and from nothing else.

    Raises ConfigurationError that lists everything that is wrong, one a line.
    """
    return load_with_origins(env, start).settings


def load_with_origins(
    env: Mapping[str, str], start: Path, *, overlay: Mapping[str, object] | None = None
) -> LoadedSettings:
    """Load as load_settings does; `overlay` stands in for what the environment's own file holds."""
    files = find_files(env, start)
    base, problems = file_entries(read_toml(files.base), files.base.name)
    over, wrong = file_entries(read_toml(files.overlay) if overlay is None else overlay, files.overlay.name)
    variables, unknown = variable_entries(env, {**base, **over})
    entries = {**base, **over, **variables}
    settings, invalid = build_settings(entries, files.env)
    problems += [*wrong, *unknown, *invalid]
    if settings is None or problems:
        raise refusal(problems)
    conflicts = [_with_entry(problem, entries) for problem in find_conflicts(settings)]
    if conflicts:
        raise refusal(conflicts)
    return LoadedSettings(settings, _origins(settings, entries, by_variable=bool(env.get("ENV"))))


def _with_entry(problem: Problem, entries: Entries) -> Problem:
    return replace(problem, entry=entries.get(problem.path))


def _origins(settings: Settings, entries: Entries, *, by_variable: bool) -> dict[schema.KeyPath, str]:
    origins: dict[schema.KeyPath, str] = {("env",): "ENV"} if by_variable else {}
    inherited = {path[1]: entry.origin for path, entry in entries.items() if path[0] == "llm" and len(path) == 2}
    for name in settings.named_llm:
        origins |= {("llm", name, key): f"{origin}, by [llm]" for key, origin in inherited.items()}
    return {**origins, **{path: entry.origin for path, entry in entries.items()}}
