"""Tools from other distributions: entry points of the group `baud.tools`, loaded and validated."""

import re
from collections.abc import Callable
from importlib.metadata import EntryPoint
from inspect import Parameter, signature
from typing import Any, Final

from shared.config import ToolConfig
from shared.contract.state import Phase
from shared.entry_points import LOADING_FAILURES, origin
from shared.errors import ConfigurationError
from workflow.tool.base import Effect, Parameters, Tool

ENTRY_POINT_GROUP: Final = "baud.tools"

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")  # what every provider takes as a function name


def load_plugin(point: EntryPoint, config: ToolConfig) -> Tool[Any]:
    """Return the tool of an entry point: a Tool subclass, or a function that makes one.

    Either takes nothing, or one required argument: its ToolConfig. Raises ConfigurationError that names the
    distribution and what is wrong.
    """
    try:
        target = point.load()
        tool = _make(target, config) if callable(target) else target
    except LOADING_FAILURES as error:
        raise _broken(point, f"cannot be loaded: {type(error).__name__}: {error}") from error
    if not isinstance(tool, Tool):
        raise _broken(point, f"is no Tool but {type(tool).__name__}")
    if fault := _fault(tool, point.name):
        raise _broken(point, fault)
    return tool


def _make(target: Callable[..., object], config: ToolConfig) -> object:
    takes_config = any(parameter.default is Parameter.empty for parameter in signature(target).parameters.values())
    return target(config) if takes_config else target()


def _fault(tool: Tool[Any], name: str) -> str | None:
    if getattr(tool, "name", None) != name:
        return f"has the name {getattr(tool, 'name', None)!r}, which must be that of its entry point"
    if not _NAME.fullmatch(name):
        return "has a bad name: small letters, digits and underscores, a letter first, 64 at most"
    if not getattr(tool, "description", ""):
        return "has no description"
    parameters = getattr(tool, "parameters", None)
    if not (isinstance(parameters, type) and issubclass(parameters, Parameters)):
        return "has no parameters, a subclass of Parameters"
    if not isinstance(getattr(tool, "effect", None), Effect):
        return "has no effect, an instance of Effect"
    return _contradiction(tool)


def _contradiction(tool: Tool[Any]) -> str | None:
    if tool.ends_planning and tool.phase != Phase.PLANNING:
        return "ends the planning but is not offered in it: set phase = Phase.PLANNING"
    if tool.asks_user and not (tool.exclusive and (tool.effect.idempotent or tool.effect.read_only)):
        return "asks the user, so it must be exclusive, and idempotent or read_only: it runs again with the answer"
    return None


def _broken(point: EntryPoint, what: str) -> ConfigurationError:
    return ConfigurationError(
        f"The tool {point.name} of {origin(point)} {what}. Mend or uninstall it, or set enabled = false in"
        f" [tools.{point.name}]."
    )
