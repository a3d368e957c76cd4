"""web_search: hits for the model and the client, and an explanation when it is not configured."""

import pytest

from shared.config import ToolConfig
from shared.contract.result import SearchHit
from shared.errors import ConfigurationError
from tests.fakes.fake_search import FakeSearch
from tests.fakes.fake_tool_context import FakeToolContext, member
from workflow.errors import ToolError
from workflow.tool.registry import ToolRegistry
from workflow.tool.web_search import WebSearchTool

HIT = SearchHit(url="http://a", title="A", content="about a")


async def test_hits_are_listed_for_the_model_and_typed_for_the_client() -> None:
    search = FakeSearch(HIT, SearchHit(url="http://b", title="B", content="about b"))
    result = await FakeToolContext().call(WebSearchTool(search), query="letters", max_results=2)
    assert search.questions == [("letters", 2)]
    assert result.text == "1. A\nhttp://a\nabout a\n\n2. B\nhttp://b\nabout b"
    assert member(result, "tool_web_search_result") == {
        "query": "letters",
        "results": [
            {"url": "http://a", "title": "A", "content": "about a"},
            {"url": "http://b", "title": "B", "content": "about b"},
        ],
    }


async def test_no_hits_are_an_answer() -> None:
    result = await FakeToolContext().call(WebSearchTool(FakeSearch()), query="x")
    assert result.text == "Nothing was found."
    assert not result.is_error


async def test_missing_configuration_says_how_to_configure() -> None:
    with pytest.raises(ToolError, match=r"\[tools\.web_search\.options\] of config\.toml"):
        await FakeToolContext().call(WebSearchTool(), query="x")


def test_unknown_option_is_named() -> None:
    config = ToolConfig(options={"provider": "tavily", "key": "x"})
    with pytest.raises(ConfigurationError, match="key is not known; there are: provider, base_url"):
        ToolRegistry.from_config({"web_search": config}, plugins=())
