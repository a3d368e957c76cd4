"""Writes config.toml out of the models: every key with its default and its comment."""

import json
from collections.abc import Iterator
from typing import Final

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from shared.config import Section, ToolConfig
from shared.redaction import is_secret_name
from shared.settings.model import Settings
from shared.settings.schema import TOP_KEYS

_HEAD: Final = """\
# Every setting of Baud with its default; written by `baud config init`.
# config.{ENV}.toml beside this file overrides it, and BAUD_<SECTION>__<KEY> variables override both.
# Secrets belong in the environment only. Times are in seconds, sizes in bytes.
"""
_NAMED_LLM: Final = """\
# A further model, for agent.planning_llm or agent.execution_llm; what it leaves out it takes from [llm].
# [llm.planner]
# model = "auto"
"""


def render_template() -> str:
    """Return the text of config.toml."""
    settings = Settings()
    top = [_line(name, Settings.model_fields[name], str(getattr(settings, name))) for name in TOP_KEYS]
    blocks = [_HEAD, "\n".join(top) + "\n"]
    for path, section in settings.tables():
        blocks.append(_block(path[0], section))
        if path == ("llm",):
            blocks.append(_NAMED_LLM)
    blocks.append(_tool_example())
    return "\n".join(blocks)


def _block(name: str, section: Section) -> str:
    return "\n".join([f"# {_first_line(section)}", f"[{name}]", *_lines(section)]) + "\n"


def _tool_example() -> str:
    lines = (line.removeprefix("# ") for line in _lines(ToolConfig()))
    return "\n".join([f"# {_first_line(ToolConfig())}", "# [tools.bash]", *(f"# {line}" for line in lines)]) + "\n"


def _first_line(section: Section) -> str:
    return (type(section).__doc__ or "").splitlines()[0]


def _lines(section: Section) -> Iterator[str]:
    for name, field in type(section).model_fields.items():
        yield _line(name, field, getattr(section, name))


def _line(name: str, field: FieldInfo, default: object) -> str:
    if default is None or is_secret_name(name):
        return f"# {name} =  # {field.description}"
    return f"{name} = {_toml(default)}  # {field.description}"


def _toml(value: object) -> str:
    """JSON's scalars, flat lists and the empty table are valid TOML."""
    return json.dumps(value.get_secret_value() if isinstance(value, SecretStr) else value)
