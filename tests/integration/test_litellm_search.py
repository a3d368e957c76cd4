"""LiteLLMSearch against a local server with SearXNG's JSON."""

import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import litellm
import pytest
from litellm.llms.custom_httpx.async_client_cleanup import close_litellm_async_clients

from shared.config import ToolConfig
from shared.contract.result import SearchHit
from shared.errors import ConfigurationError
from tests.fakes.fake_tool_context import FakeToolContext, member
from workflow.errors import ToolError
from workflow.service.litellm_search import LiteLLMSearch
from workflow.tool.registry import ToolRegistry

HITS = [{"url": f"http://hit/{number}", "title": f"Hit {number}", "content": "text"} for number in range(20)]


class SearxngHandler(BaseHTTPRequestHandler):
    """Answers /search; a question that is a number is answered with that status."""

    def do_GET(self) -> None:
        question = parse_qs(urlsplit(self.path).query)["q"][0]
        status = int(question) if question.isdigit() else 200
        body = "<html>" if question == "html" else json.dumps({"query": question, "results": HITS})
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@pytest.fixture
def searxng() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), SearxngHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
async def _clients_closed() -> AsyncIterator[None]:
    """LiteLLM keeps its HTTP clients for the life of a process."""
    yield
    await close_litellm_async_clients()  # type: ignore[no-untyped-call]  # LiteLLM has no types here
    litellm.in_memory_llm_clients_cache.flush_cache()  # type: ignore[no-untyped-call]  # the same


@pytest.mark.usefixtures("_clients_closed")
async def test_configured_tool_gives_the_hits_of_the_server(searxng: str) -> None:
    config = ToolConfig(options={"provider": "searxng", "base_url": searxng})
    tool = ToolRegistry.from_config({"web_search": config}, plugins=()).get("web_search").tool
    result = await FakeToolContext().call(tool, query="two words & more", max_results=3)
    assert member(result, "tool_web_search_result") == {"query": "two words & more", "results": HITS[:3]}
    assert "1. Hit 0\nhttp://hit/0\ntext" in result.text


@pytest.mark.usefixtures("_clients_closed")
async def test_no_more_hits_than_asked_for(searxng: str) -> None:
    hits = await LiteLLMSearch("searxng", base_url=searxng).search("x", 1)
    assert hits == (SearchHit(url="http://hit/0", title="Hit 0", content="text"),)


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("500", "failed"),
        ("401", "refused the API key"),
        ("429", "takes no more requests"),
        ("html", "failed"),
    ],
)
@pytest.mark.usefixtures("_clients_closed")
async def test_failure_of_the_provider_is_explained(
    searxng: str, capsys: pytest.CaptureFixture[str], question: str, words: str
) -> None:
    with pytest.raises(ToolError, match=f"The search provider searxng {words}"):
        await LiteLLMSearch("searxng", base_url=searxng).search(question, 3)
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("_clients_closed")
async def test_server_that_is_not_there_is_explained() -> None:
    with pytest.raises(ToolError, match="searxng failed"):
        await LiteLLMSearch("searxng", base_url="http://127.0.0.1:9").search("x", 3)


def test_unknown_provider_is_refused_with_those_that_exist() -> None:
    with pytest.raises(ConfigurationError, match=r"provider is 'altavista'; it can be: .*searxng"):
        ToolRegistry.from_config({"web_search": ToolConfig(options={"provider": "altavista"})}, plugins=())


def test_litellm_is_not_imported_without_a_provider() -> None:
    code = "import sys, workflow.tool.registry as r; r.ToolRegistry.from_config({}); sys.exit('litellm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
