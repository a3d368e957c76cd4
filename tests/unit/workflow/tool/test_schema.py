"""The schemas that a model is given are plain, and every member is described."""

from collections.abc import Iterator

import pytest
from pydantic import Field, JsonValue

from shared.contract.state import Phase
from shared.errors import ConfigurationError
from workflow.llm.model import ToolSpec
from workflow.tool.base import Parameters
from workflow.tool.registry import ToolRegistry
from workflow.tool.schema import plain_schema

SPECS = ToolRegistry.from_config({}, plugins=()).specs(Phase.EXECUTION)


class Endless(Parameters):
    """A model that contains itself."""

    children: tuple["Endless", ...] = Field((), description="more of them")


class Titled(Parameters):
    """A model with a member named like a keyword of the schema."""

    title: str = Field(description="a title")
    default: str | None = Field(None, description="a default")


def members(schema: JsonValue) -> Iterator[tuple[str, JsonValue]]:
    """Yield every property at any depth."""
    if isinstance(schema, list):
        for item in schema:
            yield from members(item)
    if isinstance(schema, dict):
        properties = schema.get("properties")
        if isinstance(properties, dict):
            yield from properties.items()
        for value in schema.values():
            yield from members(value)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_schema_is_plain_and_every_member_is_described(spec: ToolSpec) -> None:
    text = str(spec.parameters)
    assert spec.parameters["type"] == "object"
    assert not any(word in text for word in ("$ref", "$defs", "anyOf", "'null'", "'title'"))
    for name, schema in members(spec.parameters):
        assert isinstance(schema, dict)
        assert schema.get("description"), name
        assert schema.get("type"), name


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_tool_is_described_and_takes_no_unknown_member(spec: ToolSpec) -> None:
    assert spec.description
    assert spec.parameters["additionalProperties"] is False


def test_members_named_like_keywords_stay() -> None:
    assert plain_schema(Titled) == {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "title": {"type": "string", "description": "a title"},
            "default": {"type": "string", "description": "a default"},
        },
        "required": ["title"],
    }


def test_model_that_contains_itself_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="Endless contains itself"):
        plain_schema(Endless)
