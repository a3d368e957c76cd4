"""What only a fresh process can show: what is imported for a model, and that the fake server runs by itself."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from shared.contract.config import LLMConfig
from shared.contract.message import ChatMessage, Role
from tests.litellm_warnings import LITELLM_WARNINGS
from workflow.llm.factory import build_model
from workflow.llm.model import Model, ModelAnswer, ModelRequest

pytestmark = LITELLM_WARNINGS

ROOT = Path(__file__).parents[2]

BUILD = """
import sys
from shared.contract.config import LLMConfig
from workflow.llm.factory import build_gauge, build_model
config = LLMConfig(model=sys.argv[1])
build_model(config, {})
build_gauge(config, {})
print("litellm" in sys.modules)
"""


def build_in_new_process(model: str, env: dict[str, str]) -> str:
    process = subprocess.run(
        [sys.executable, "-c", BUILD, model], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=True
    )
    return process.stdout.strip()


@pytest.mark.parametrize(
    ("model", "is_imported"),
    [("python:tests.unit.workflow.llm.test_factory:OwnModel", "False"), ("offline/demo", "True")],
)
def test_litellm_is_imported_only_for_its_own_models(model: str, is_imported: str) -> None:
    assert build_in_new_process(model, dict(os.environ)) == is_imported


def test_importing_litellm_asks_the_net_for_nothing() -> None:
    # A proxy that nobody answers makes a request for the price table fail, and LiteLLM warns of that.
    dead = "http://127.0.0.1:9"
    env = {**os.environ, "https_proxy": dead, "HTTPS_PROXY": dead}
    env.pop("LITELLM_LOCAL_MODEL_COST_MAP", None)
    process = subprocess.run(
        [sys.executable, "-c", BUILD, "offline/demo"], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60
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
