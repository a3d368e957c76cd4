"""The registry: which tools there are, in which phase, with which limits."""

import pytest

from shared.config import ToolConfig
from shared.contract.state import Phase
from shared.errors import ConfigurationError
from workflow.errors import ToolError
from workflow.tool.base import Effect
from workflow.tool.registry import ToolRegistry

READ = Effect(read_only=True, idempotent=True, destructive=False)
EFFECTS = {
    "job_plan": Effect(read_only=False, idempotent=True, destructive=False),
    "ask_user": READ,
    "bash": Effect(read_only=False, idempotent=False, destructive=True, open_world=True),
    "file_read": READ,
    "file_edit": Effect(read_only=False, idempotent=False, destructive=True),
    "multi_edit": Effect(read_only=False, idempotent=False, destructive=True),
    "files_creation": Effect(read_only=False, idempotent=True, destructive=True),
    "grep": READ,
    "glob": READ,
    "ls": READ,
    "web_search": Effect(read_only=True, idempotent=True, destructive=False, open_world=True),
    "use_template": Effect(read_only=False, idempotent=False, destructive=False),
    "todo_read": READ,
    "todo_write": Effect(read_only=False, idempotent=True, destructive=False),
    "suggest_next_steps": READ,
    "url_expose": Effect(read_only=False, idempotent=True, destructive=False, open_world=True),
}


def build(**configs: ToolConfig) -> ToolRegistry:
    return ToolRegistry.from_config(configs, plugins=())


def names(registry: ToolRegistry, phase: Phase) -> list[str]:
    return [spec.name for spec in registry.specs(phase)]


def test_all_tools_are_there_with_their_effects() -> None:
    registry = build()
    assert {name: registry.get(name).tool.effect for name in names(registry, Phase.EXECUTION)} == EFFECTS


def test_planning_offers_the_plan_and_the_question_only() -> None:
    assert names(build(), Phase.PLANNING) == ["job_plan", "ask_user"]


def test_without_a_plan_tool_there_is_no_planning() -> None:
    registry = build(job_plan=ToolConfig(enabled=False))
    assert names(registry, Phase.PLANNING) == names(registry, Phase.EXECUTION)
    assert "bash" in names(registry, Phase.PLANNING)


def test_disabled_tool_is_neither_offered_nor_found() -> None:
    registry = build(bash=ToolConfig(enabled=False))
    assert "bash" not in names(registry, Phase.EXECUTION)
    assert registry.find("bash") is None
    with pytest.raises(ToolError, match=r"There is no tool bash\. There are: job_plan, "):
        registry.get("bash")


def test_limits_come_from_the_configuration_or_the_tool() -> None:
    registry = build(bash=ToolConfig(timeout=7, max_output_chars=500, options={"a": 1}))
    assert (registry.get("bash").timeout_seconds, registry.get("bash").max_output_chars) == (7, 500)
    assert registry.get("bash").options == {"a": 1}
    assert (registry.get("grep").timeout_seconds, registry.get("grep").max_output_chars) == (60, 30_000)
    assert registry.get("file_read").max_output_chars == 100_000


@pytest.mark.parametrize(
    ("name", "approval", "needed"),
    [
        ("bash", "never", False),
        ("bash", "destructive", True),
        ("ls", "destructive", False),
        ("ls", "always", True),
    ],
)
def test_approval_depends_on_the_setting_and_the_effect(name: str, approval: str, needed: bool) -> None:
    assert build(**{name: ToolConfig(approval=approval)}).get(name).needs_approval is needed


def test_table_for_no_tool_is_refused_with_those_that_exist() -> None:
    with pytest.raises(
        ConfigurationError, match=r"\[tools\.bsh\]: there is no such tool\. There are: ask_user, bash, "
    ):
        build(bsh=ToolConfig())
