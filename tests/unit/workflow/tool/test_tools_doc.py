"""docs/tools.md: its table is true, and its example is a working plug-in."""

import re
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from shared.config import ToolConfig
from shared.contract.state import Phase
from tests.fakes.fake_sandbox import FakeSandbox
from tests.fakes.fake_tool_context import FakeToolContext
from workflow.tool.base import Tool
from workflow.tool.plugin import ENTRY_POINT_GROUP
from workflow.tool.registry import ToolRegistry

DOC = (Path(__file__).parents[4] / "docs" / "tools.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOC, re.DOTALL)


def test_table_says_what_the_tools_declare() -> None:
    registry = ToolRegistry.from_config({}, plugins=())
    declared = {}
    for spec in registry.specs(Phase.EXECUTION):
        effect = registry.get(spec.name).tool.effect
        flags = (effect.read_only, effect.idempotent, effect.destructive, effect.open_world)
        declared[spec.name] = ["yes" if flag else "no" for flag in flags]
    rows = re.findall(r"^\| `(\w+)` \| .* \| (\w+) \| (\w+) \| (\w+) \| (\w+) \|$", DOC, re.MULTILINE)
    assert {name: list(flags) for name, *flags in rows} == declared


def test_class_variables_are_described_with_their_defaults() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `([^`]+)` \| [^|]+ \|$", DOC, re.MULTILINE)
    defaults = {name: vars(Tool)[name] for name in Tool.__annotations__ if name in vars(Tool)}
    assert {name: eval(default, {"Phase": Phase}) for name, default in rows} == defaults


def test_configuration_example_is_valid() -> None:
    tables = tomllib.loads(blocks("toml")[0])["tools"]
    assert {name: ToolConfig.model_validate(table).enabled for name, table in tables.items()} == {
        "bash": True,
        "web_search": True,
    }


async def test_example_tool_works_as_a_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = tomllib.loads(blocks("toml")[1])["project"]["entry-points"]
    ((name, value),) = groups[ENTRY_POINT_GROUP].items()
    (tmp_path / f"{value.partition(':')[0]}.py").write_text(blocks("python")[0])
    monkeypatch.syspath_prepend(str(tmp_path))
    registry = ToolRegistry.from_config({}, plugins=[EntryPoint(name, value, ENTRY_POINT_GROUP)])
    context = FakeToolContext(FakeSandbox({"a.txt": "one two three"}))
    result = await context.call(registry.get(name).tool, path="a.txt")
    assert result.text == "3 words"
    assert result.result == {"tool_word_count_result": {"words": 3}}
