"""The tools of this installation: the built-in ones and plug-ins, switched and limited by `[tools.NAME]`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from types import MappingProxyType
from typing import Any

from shared.config import ToolConfig
from shared.contract.state import Phase
from shared.entry_points import installed, origin
from shared.errors import ConfigurationError
from workflow.errors import ToolError
from workflow.llm.model import ToolSpec
from workflow.service.search import Search
from workflow.service.search_factory import build_search
from workflow.tool.ask_user import AskUserTool
from workflow.tool.base import Tool
from workflow.tool.bash import BashTool
from workflow.tool.file_edit import FileEditTool
from workflow.tool.file_read import FileReadTool
from workflow.tool.files_creation import FilesCreationTool
from workflow.tool.glob import GlobTool
from workflow.tool.grep import GrepTool
from workflow.tool.job_plan import JobPlanTool
from workflow.tool.ls import LsTool
from workflow.tool.multi_edit import MultiEditTool
from workflow.tool.plugin import ENTRY_POINT_GROUP, load_plugin
from workflow.tool.schema import plain_schema
from workflow.tool.suggest_next_steps import SuggestNextStepsTool
from workflow.tool.todo_read import TodoReadTool
from workflow.tool.todo_write import TodoWriteTool
from workflow.tool.url_expose import UrlExposeTool
from workflow.tool.use_template import UseTemplateTool
from workflow.tool.web_search import WebSearchTool


@dataclass(frozen=True, slots=True)
class RegisteredTool:
    """A tool with its configuration: what the executor needs to run a call of it."""

    tool: Tool[Any]
    spec: ToolSpec
    timeout_seconds: float
    max_output_chars: int
    approval: str
    options: Mapping[str, str | int | float | bool]

    @property
    def needs_approval(self) -> bool:
        """Whether a person must agree to each call."""
        return self.approval == "always" or (self.approval == "destructive" and self.tool.effect.destructive)


class ToolRegistry:
    """The enabled tools by name, in a fixed order, so that a prompt cache holds.

    `planners` are the names of those that end the planning phase; `streamed_fields` the fields that stream, by
    execute_type.
    """

    def __init__(self, tools: Iterable[RegisteredTool]) -> None:
        self._tools = {registered.tool.name: registered for registered in tools}
        self.planners = tuple(name for name, each in self._tools.items() if each.tool.ends_planning)
        self.streamed_fields: Mapping[str, str] = {
            f"tool_{name}": each.tool.streamed_field for name, each in self._tools.items() if each.tool.streamed_field
        }

    @classmethod
    def from_config(
        cls,
        configs: Mapping[str, ToolConfig],
        *,
        search: Search | None = None,
        plugins: Iterable[EntryPoint] | None = None,
    ) -> "ToolRegistry":
        """Build from the `[tools.NAME]` tables; without `search` and `plugins`: as configured and installed.

        Blocks while plug-ins are imported. Raises ConfigurationError for a table that belongs to no tool
        and for a plug-in that cannot be used.
        """
        points = installed(ENTRY_POINT_GROUP) if plugins is None else plugins
        web_search = _config(configs, WebSearchTool.name)
        if search is None and web_search.enabled:
            search = build_search(web_search.options)
        builtins = {tool.name: tool for tool in _builtin_tools(search)}
        by_name = _plugins_by_name(points, builtins)
        _refuse_unknown(configs, {*builtins, *by_name})
        tools = [tool for name, tool in builtins.items() if _config(configs, name).enabled]
        tools += [
            load_plugin(point, _config(configs, name))
            for name, point in sorted(by_name.items())
            if _config(configs, name).enabled
        ]
        return cls(_register(tool, _config(configs, tool.name)) for tool in tools)

    def specs(self, phase: Phase) -> tuple[ToolSpec, ...]:
        """Return the specs for the model: of all tools, or while planning of those that are offered then."""
        is_planning = phase is Phase.PLANNING and bool(self.planners)
        return tuple(each.spec for each in self._tools.values() if not is_planning or each.tool.phase == Phase.PLANNING)

    def find(self, name: str) -> RegisteredTool | None:
        """Return the tool of this name, or None."""
        return self._tools.get(name)

    def is_exclusive(self, name: str) -> bool:
        """Whether a call of this tool must be the only one of its turn; as all of these, False for no tool."""
        return name in self._tools and self._tools[name].tool.exclusive

    def asks_user(self, name: str) -> bool:
        """Whether the result of this tool is a question to the user."""
        return name in self._tools and self._tools[name].tool.asks_user

    def uses_workspace(self, name: str) -> bool:
        """Whether a call of this tool may depend on the thread's sandbox, or leave something in it."""
        return self.keeps_processes(name) or (name in self._tools and self._tools[name].tool.uses_workspace)

    def keeps_processes(self, name: str) -> bool:
        """Whether a call of this tool may leave processes in the sandbox, or give out the address of one."""
        return name in self._tools and self._tools[name].tool.keeps_processes

    def get(self, name: str) -> RegisteredTool:
        """Return the tool of this name; a ToolError for the model where there is none."""
        try:
            return self._tools[name]
        except KeyError:
            raise ToolError(f"There is no tool {name}. There are: {', '.join(self._tools)}.") from None


def _builtin_tools(search: Search | None) -> tuple[Tool[Any], ...]:
    return (
        JobPlanTool(),
        AskUserTool(),
        BashTool(),
        FileReadTool(),
        FileEditTool(),
        MultiEditTool(),
        FilesCreationTool(),
        GrepTool(),
        GlobTool(),
        LsTool(),
        WebSearchTool(search),
        UseTemplateTool(),
        TodoReadTool(),
        TodoWriteTool(),
        SuggestNextStepsTool(),
        UrlExposeTool(),
    )


def _config(configs: Mapping[str, ToolConfig], name: str) -> ToolConfig:
    return configs.get(name, ToolConfig())


def _plugins_by_name(points: Iterable[EntryPoint], builtins: Mapping[str, Tool[Any]]) -> dict[str, EntryPoint]:
    by_name: dict[str, EntryPoint] = {}
    for point in points:
        if point.name in builtins:
            raise ConfigurationError(f"{origin(point)} brings a tool named {point.name}, which is a built-in one.")
        if point.name in by_name:
            other = origin(by_name[point.name])
            raise ConfigurationError(f"{origin(point)} and {other} both bring a tool named {point.name}. Remove one.")
        by_name[point.name] = point
    return by_name


def _refuse_unknown(configs: Mapping[str, ToolConfig], names: set[str]) -> None:
    for name in configs:
        if name not in names:
            raise ConfigurationError(f"[tools.{name}]: there is no such tool. There are: {', '.join(sorted(names))}.")


def _register(tool: Tool[Any], config: ToolConfig) -> RegisteredTool:
    return RegisteredTool(
        tool=tool,
        spec=ToolSpec(tool.name, tool.description, plain_schema(tool.parameters)),
        timeout_seconds=config.timeout or tool.timeout_seconds,
        max_output_chars=config.max_output_chars or tool.max_output_chars,
        approval=config.approval,
        options=MappingProxyType(dict(config.options)),  # all calls of the process share them
    )
