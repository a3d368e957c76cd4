"""use_template: an app from a template in a folder of its own."""

import pytest
from pydantic import ValidationError

from tests.fakes.fake_sandbox import FakeSandbox
from tests.fakes.fake_tool_context import FakeToolContext, member
from workflow.errors import ToolError
from workflow.tool.schema import plain_schema
from workflow.tool.template_catalog import PLACEHOLDER, template_folder, template_names
from workflow.tool.use_template import UseTemplateParameters, UseTemplateTool

NAMES = template_names(template_folder())


@pytest.mark.parametrize("framework", NAMES)
async def test_template_is_copied_with_the_name_of_the_app(framework: str) -> None:
    sandbox = FakeSandbox()
    result = await FakeToolContext(sandbox).call(UseTemplateTool(), web_framework=framework, web_app_name="my-shop")
    assert member(result, "tool_use_template_result") == {"web_framework": framework, "web_app_name": "my-shop"}
    assert sandbox.files
    assert all(path.startswith("my-shop/") and f"  {path}\n" in result.text for path in sandbox.files)
    assert not any(PLACEHOLDER.encode() in content for content in sandbox.files.values())
    assert any(b"my-shop" in content for content in sandbox.files.values())
    assert "{port}" not in result.text
    assert "is_long_running" in result.text


def test_schema_lists_the_templates_that_exist() -> None:
    properties = plain_schema(UseTemplateParameters)["properties"]
    assert isinstance(properties, dict)
    assert {"fastapi", "static-site", "vite-react"} <= set(NAMES)
    for name in NAMES:
        assert f"{name}: " in str(properties["web_framework"])


async def test_unknown_template_is_answered_with_those_that_exist() -> None:
    with pytest.raises(ToolError, match=r"no template rails\. Choose one of: fastapi, static-site"):
        await FakeToolContext().call(UseTemplateTool(), web_framework="rails", web_app_name="shop")


async def test_folder_with_content_is_left_alone() -> None:
    sandbox = FakeSandbox({"shop/mine.txt": "x"})
    with pytest.raises(ToolError, match="shop exists and is not empty"):
        await FakeToolContext(sandbox).call(UseTemplateTool(), web_framework="static-site", web_app_name="shop")
    assert list(sandbox.files) == ["shop/mine.txt"]


async def test_file_in_the_way_is_explained() -> None:
    sandbox = FakeSandbox({"shop": "x"})
    with pytest.raises(ToolError, match="shop is not a folder"):
        await FakeToolContext(sandbox).call(UseTemplateTool(), web_framework="static-site", web_app_name="shop")


@pytest.mark.parametrize("name", ["Shop", "../x", "/x", "1x", "a b", "", "x" * 42, "shop\n"])
def test_name_that_is_no_plain_folder_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        UseTemplateParameters.model_validate({"web_framework": "static-site", "web_app_name": name})
