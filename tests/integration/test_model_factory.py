"""What only a fresh process can show: what is imported for a model, and that the fake server runs by itself."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from shared.config import LLMConfig
from shared.contract.message import ChatMessage, Role
from tests.fakes.openai_script import Answer
from tests.fakes.openai_server import OpenAIServer
from tests.litellm_warnings import LITELLM_WARNINGS
from workflow.llm.factory import build_model
from workflow.llm.litellm.setup import LATE_MODULES
from workflow.llm.model import Model, ModelAnswer, ModelRequest

pytestmark = LITELLM_WARNINGS

ROOT = Path(__file__).parents[2]

BUILD = """
import sys
from shared.config import LLMConfig
from workflow.llm.factory import build_counter, build_model, warm_up
config = LLMConfig(model=sys.argv[1])
build_model(config, {})
build_counter(config, {})
warm_up(config, {})
print(*[name for name in sys.argv[2:] if name in sys.modules])
"""


def imports_in_new_process(model: str, names: Sequence[str]) -> list[str]:
    argv = [sys.executable, "-c", BUILD, model, *names]
    process = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    return process.stdout.split()


@pytest.mark.parametrize(
    ("model", "imported"),
    [
        ("python:tests.unit.workflow.llm.test_factory:OwnModel", []),
        ("offline/demo", []),
        ("openai/gpt-4o", ["litellm", *LATE_MODULES]),
    ],
    ids=["one's own", "offline", "of a provider"],
)
def test_a_model_is_ready_with_what_it_needs_and_no_more(model: str, imported: list[str]) -> None:
    found = imports_in_new_process(model, ["litellm", *LATE_MODULES])
    assert [name for name in found if name in imported] == imported
    assert bool(found) == bool(imported)


FIRST_CALLS = """
import asyncio, sys, warnings
warnings.simplefilter("ignore")
from shared.config import LLMConfig
from shared.contract.message import ChatMessage, Role
from shared.errors import BaudError
from workflow.llm.factory import build_counter, build_model, warm_up
from workflow.llm.model import ModelRequest, ToolSpec
env = {"OPENAI_API_KEY": "k"}
config = LLMConfig(model="openai/gpt-4o-mini", base_url=sys.argv[1], num_retries=0)
model, counter = build_model(config, env), build_counter(config, env)
warm_up(config, env)
async def call(text):
    tools = (ToolSpec("ls", "List.", {"type": "object", "properties": {}}),)
    request = ModelRequest("Be brief.", (ChatMessage(role=Role.USER, content=text),), tools)
    try:
        await counter.count_tokens(request)
        return str([item async for item in model.stream(request)][-1])
    except BaudError as error:
        return error.message
before = set(sys.modules)
for text in ("answer", "refuse"):
    print(asyncio.run(call(text)), file=sys.stderr)
print(*sorted(name for name in set(sys.modules) - before if not name.startswith("encodings.")))
"""


def test_the_first_call_of_a_warm_model_imports_nothing() -> None:
    script = [Answer(when="answer", text="Here I am."), Answer(when="refuse", status=400, error="no such thing")]
    with OpenAIServer(script) as server:
        argv = [sys.executable, "-c", FIRST_CALLS, server.base_url]
        process = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert "Here I am." in process.stderr
    assert "no such thing" in process.stderr
    assert process.stdout.split() == []


def test_importing_litellm_makes_no_request() -> None:
    # A dead proxy makes a request for the price table fail, and LiteLLM warns of that.
    dead = "http://127.0.0.1:9"
    env = {**os.environ, "https_proxy": dead, "HTTPS_PROXY": dead}
    env.pop("LITELLM_LOCAL_MODEL_COST_MAP", None)
    process = subprocess.run(
        [sys.executable, "-c", BUILD, "openai/gpt-4o"], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60
    )
    assert process.returncode == 0
    assert process.stderr == ""


async def ask(model: Model) -> str:
    request = ModelRequest("", (ChatMessage(role=Role.USER, content="Hi"),))
    answer = [item async for item in model.stream(request)][-1]
    assert isinstance(answer, ModelAnswer)
    return answer.text


def test_the_fake_server_serves_a_script_as_a_process(tmp_path: Path, unused_tcp_port: int) -> None:
    script = tmp_path / "script.json"
    script.write_text(json.dumps([{"text": "from another process", "when": "Hi"}]))
    address = f"http://127.0.0.1:{unused_tcp_port}"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.openai_server", "--port", str(unused_tcp_port), "--script", str(script)],
        cwd=ROOT,
    )
    try:
        with httpx.Client(transport=httpx.HTTPTransport(retries=10)) as client:
            assert client.get(f"{address}/health").text == "ok"
            model = build_model(LLMConfig(model="some", base_url=f"{address}/v1"), {})
            assert asyncio.run(ask(model)) == "from another process"
            assert len(client.get(f"{address}/requests").json()) == 1
    finally:
        process.terminate()
        process.wait(10)
