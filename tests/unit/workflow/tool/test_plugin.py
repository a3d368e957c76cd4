"""Plug-ins: loaded by entry point, refused with a name and a reason."""

from importlib.metadata import EntryPoint

import pytest

from shared.config import ToolConfig
from shared.contract.state import Phase
from shared.errors import ConfigurationError
from tests.fakes.fake_tool_context import FakeToolContext
from workflow.tool.base import Effect, Parameters, Tool, ToolContext, ToolResult
from workflow.tool.registry import ToolRegistry


class Nothing(Parameters):
    """None."""


class PingTool(Tool[Nothing]):
    """A complete plug-in tool."""

    name = "ping"
    description = "Say pong."
    parameters = Nothing
    effect = Effect(read_only=True, idempotent=True, destructive=False)

    def __init__(self, answer: str = "pong") -> None:
        self._answer = answer

    async def run(self, params: Nothing, context: ToolContext) -> ToolResult:
        return ToolResult(text=self._answer)


class MuteTool(PingTool):
    description = ""


class EffectlessTool(PingTool):
    effect = None  # type: ignore[assignment]  # what a plug-in without types may do


class ShapelessTool(PingTool):
    parameters = dict  # type: ignore[assignment]  # what a plug-in without types may do


class LateEndTool(PingTool):
    ends_planning = True


class CrowdedAskingTool(PingTool):
    asks_user = True


class OnceAskingTool(PingTool):
    effect = Effect(read_only=False, idempotent=False, destructive=False)
    exclusive = True
    asks_user = True


class ConfiguredTool(PingTool):
    """Takes its configuration."""

    def __init__(self, config: ToolConfig) -> None:
        super().__init__(str(config.options["answer"]))


def make_ping() -> PingTool:
    return PingTool("from a function")


def make_configured(config: ToolConfig) -> PingTool:
    return PingTool(f"{config.options['answer']} from a function")


def make_nothing() -> str:
    return "no tool"


def make_trouble() -> PingTool:
    raise RuntimeError("no licence")


def point(value: str, name: str = "ping") -> EntryPoint:
    return EntryPoint(name, f"{__name__}:{value}" if ":" not in value else value, "baud.tools")


def build(*points: EntryPoint, **configs: ToolConfig) -> ToolRegistry:
    return ToolRegistry.from_config(configs, plugins=points)


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        ("PingTool", "pong"),
        ("make_ping", "from a function"),
        ("ConfiguredTool", "hello"),
        ("make_configured", "hello from a function"),
    ],
)
async def test_plugin_is_a_tool_like_any_other(value: str, answer: str) -> None:
    registry = build(point(value), ping=ToolConfig(timeout=3, options={"answer": "hello"}))
    registered = registry.get("ping")
    assert registered.timeout_seconds == 3
    assert registry.specs(Phase.EXECUTION)[-1].name == "ping"
    assert "ping" not in [spec.name for spec in registry.specs(Phase.PLANNING)]
    assert (await FakeToolContext().call(registered.tool)).text == answer


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("nowhere.at.all:Tool", "cannot be loaded: ModuleNotFoundError"),
        ("missing", "cannot be loaded: AttributeError"),
        ("make_trouble", "cannot be loaded: RuntimeError: no licence"),
        ("make_nothing", "is no Tool but str"),
        ("MuteTool", "has no description"),
        ("EffectlessTool", "has no effect"),
        ("ShapelessTool", "has no parameters"),
        ("LateEndTool", "ends the planning but is not offered in it"),
        ("CrowdedAskingTool", "asks the user, so it must be exclusive"),
        ("OnceAskingTool", "idempotent or read_only"),
    ],
)
def test_broken_plugin_is_refused_with_its_origin_and_the_reason(value: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        build(point(value))
    assert value in caught.value.message
    assert "[tools.ping]" in caught.value.message


def test_plugin_under_another_name_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="has the name 'ping', which must be that of its entry point"):
        build(point("make_ping", "pong"))


def test_name_of_a_builtin_tool_is_taken() -> None:
    with pytest.raises(ConfigurationError, match="brings a tool named bash, which is a built-in one"):
        build(point("make_ping", "bash"))


def test_two_plugins_with_one_name_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="both bring a tool named ping"):
        build(point("make_ping"), point("ConfiguredTool"))


def test_disabled_plugin_is_not_even_loaded() -> None:
    registry = build(point("nowhere.at.all:Tool"), ping=ToolConfig(enabled=False))
    assert registry.find("ping") is None
