"""url_expose: the address of a server in the sandbox."""

import pytest
from pydantic import ValidationError

from tests.fakes.fake_sandbox import FakeSandbox
from tests.fakes.fake_tool_context import FakeToolContext, member
from workflow.errors import ToolError
from workflow.tool.url_expose import UrlExposeTool


async def test_address_goes_out_as_sandbox_info() -> None:
    context = FakeToolContext(FakeSandbox({"shop/index.html": "x"}, listening=[8000]))
    result = await context.call(UrlExposeTool(), port=8000, app_folder="shop")
    assert result.execute_type == "status_sandbox_info"
    assert member(result, "status_sandbox_info") == {
        "sandbox_id": "fake",
        "sandbox_url": "http://127.0.0.1:8000",
        "app_path": "/workspace/shop",
    }
    assert "http://127.0.0.1:8000" in result.text


async def test_port_without_a_server_is_explained() -> None:
    with pytest.raises(ToolError, match="Nothing listens on port 8001"):
        await FakeToolContext(FakeSandbox(listening=[8000])).call(UrlExposeTool(), port=8001)


async def test_folder_outside_the_workspace_is_refused() -> None:
    with pytest.raises(ToolError, match="outside the workspace"):
        await FakeToolContext(FakeSandbox(listening=[8000])).call(UrlExposeTool(), port=8000, app_folder="/etc")


@pytest.mark.parametrize("port", [0, 65_536])
def test_impossible_port_is_refused(port: int) -> None:
    with pytest.raises(ValidationError):
        UrlExposeTool.parameters.model_validate({"port": port})
