"""Which keys exist: finds the section and the field that a dotted path names, or names what is allowed there."""

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, get_args, get_origin

from pydantic.fields import FieldInfo

from shared.config import LLMConfig, Section, ToolConfig
from shared.settings.model import Settings

KeyPath = tuple[str, ...]

_SINGLE: Final[Mapping[str, type[Section]]] = MappingProxyType({
    name: field.annotation
    for name, field in Settings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
})  # fmt: skip
TOP_KEYS: Final = ("data_dir",)
SECTIONS: Final = (*_SINGLE, "tools")


class UnknownKeyError(Exception):
    """No such key; the text names what is allowed in its place."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key: its table (empty at the top), the model of that table, its name; `option` in a table of free names."""

    table: KeyPath
    model: type[Section]
    name: str
    option: str | None = None

    @property
    def field(self) -> FieldInfo:
        """The declaration of the key."""
        return self.model.model_fields[self.name]

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        parts = (*self.table, self.name, *([self.option] if self.option else []))
        return "BAUD_" + "__".join(parts).upper()


def find_key(path: KeyPath) -> Key:
    """Return what the path names. Raises UnknownKeyError with what is allowed there."""
    if len(path) == 1 and path[0] in TOP_KEYS:
        return Key((), Settings, path[0])
    table = _find_table(path)
    model = model_of(table)
    name, *rest = path[len(table) :]
    if name not in model.model_fields:
        raise UnknownKeyError(_unknown(f"[{'.'.join(table)}] has no key {name!r}", name, model.model_fields))
    if len(rest) == 1 and _has_free_names(model.model_fields[name]):
        return Key(table, model, name, rest[0])
    if rest:
        raise UnknownKeyError(f"{'.'.join((*table, name))} is a single value, not a table")
    return Key(table, model, name)


def _find_table(path: KeyPath) -> KeyPath:
    head, *rest = path
    if head == "env":
        raise UnknownKeyError("the environment is chosen by the variable ENV, nowhere else")
    if head not in SECTIONS:
        raise UnknownKeyError(_unknown(f"there is no section {head!r}", head, (*SECTIONS, *TOP_KEYS)))
    if not rest:
        raise UnknownKeyError(f"{head} is a section: write its keys under [{head}]")
    if not is_named_table(path[:2]) or (head == "llm" and len(rest) == 1):
        return (head,)
    if len(rest) == 1:
        raise UnknownKeyError(f"[{head}] holds one table for each name: write [{head}.{rest[0]}]")
    return (head, rest[0])


def model_of(table: KeyPath) -> type[Section]:
    """Return the model of a table that exists; () is the top."""
    if not table:
        return Settings
    return ToolConfig if table[0] == "tools" else _SINGLE[table[0]]


def is_named_table(path: KeyPath) -> bool:
    """Whether the path is that of an [llm.NAME] or a [tools.NAME]."""
    if len(path) != 2:
        return False
    return path[0] == "tools" or (path[0] == "llm" and path[1] not in LLMConfig.model_fields)


def is_table(path: KeyPath) -> bool:
    """Whether the path names a table, so that an empty one sets nothing."""
    if (path[0] in SECTIONS and len(path) == 1) or is_named_table(path):
        return True
    try:
        key = find_key(path)
    except UnknownKeyError:
        return False
    return key.option is None and _has_free_names(key.field)


def _has_free_names(field: FieldInfo) -> bool:
    """Whether a key is a table whose names the user chooses, such as a tool's options."""
    return get_origin(field.annotation) is dict


def _unknown(what: str, name: str, allowed: Iterable[str]) -> str:
    names = list(allowed)
    return f"{what}{suggestion(name, names)} (allowed: {', '.join(names)})"


def suggestion(name: str, names: Iterable[str]) -> str:
    """Return `; did you mean X?` for a near miss, else nothing."""
    near = difflib.get_close_matches(name, list(names), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def decode(key: Key, text: str) -> object:
    """Return the value that a text stands for: lists and tables are read, the rest is left to the model."""
    wanted = key.field.annotation
    if _has_free_names(key.field):
        if key.option is None:
            return _decode_table(text)
        wanted = get_args(wanted)[1]
    if get_origin(wanted) is tuple:
        return _decode_list(text)
    return text if key.option is None else _decode_scalar(text)


def _decode_table(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _decode_scalar(text: str) -> object:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, str | int | float | bool) else text


def _decode_list(text: str) -> object:
    if text.lstrip().startswith("["):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return [item.strip() for item in text.split(",") if item.strip()]
