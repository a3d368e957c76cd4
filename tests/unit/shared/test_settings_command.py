"""`baud config`: what it prints, what it writes, what it refuses."""

import json
import os
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from shared.config import ToolConfig
from shared.settings.command import app
from shared.settings.load import load_settings
from shared.settings.model import Settings
from shared.settings.template import render_template

PROJECT = Path(__file__).parents[3]
runner = CliRunner()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run the command in an empty folder and an environment without settings."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name in {"ENV", "REDIS_URL"} or name.startswith("BAUD_") or name.endswith("_API_KEY"):
            monkeypatch.delenv(name)
    return tmp_path


def test_the_committed_config_is_what_init_writes() -> None:
    assert (PROJECT / "config.toml").read_text(encoding="utf-8") == render_template()


def test_init_writes_a_file_that_changes_nothing(folder: Path) -> None:
    assert runner.invoke(app, ["init"]).exit_code == 0

    assert load_settings({}, folder) == Settings()


def test_init_names_every_key_of_every_section(folder: Path) -> None:
    text = render_template()

    for table, section in [*Settings().tables(), (("tools", "bash"), ToolConfig())]:
        block = text.split(f"[{'.'.join(table)}]\n", 1)[1].split("\n\n", 1)[0]
        assert [name for name in type(section).model_fields if f"{name} =" not in block] == []


def test_init_keeps_an_existing_file_unless_forced(folder: Path) -> None:
    (folder / "config.toml").write_text("# mine\n", encoding="utf-8")

    refused = runner.invoke(app, ["init"])

    assert (refused.exit_code, (folder / "config.toml").read_text(encoding="utf-8")) == (2, "# mine\n")
    assert "--force" in refused.stderr
    assert runner.invoke(app, ["init", "--force"]).exit_code == 0
    assert (folder / "config.toml").read_text(encoding="utf-8") == render_template()


def test_show_prints_value_and_origin_of_each_key(folder: Path) -> None:
    (folder / "config.toml").write_text("[modem]\nqueue = 'jobs'\n", encoding="utf-8")

    result = runner.invoke(app, ["show", "modem", "--json"], env={"BAUD_MODEM__CONCURRENCY": "5"})
    rows = json.loads(result.stdout)

    assert rows["modem.queue"] == {"value": "jobs", "origin": "config.toml"}
    assert rows["modem.concurrency"] == {"value": 5, "origin": "BAUD_MODEM__CONCURRENCY"}
    assert rows["modem.drain_timeout"] == {"value": 20.0, "origin": "default"}


@pytest.mark.parametrize("arguments", [["show"], ["show", "--json"]], ids=["table", "json"])
def test_show_masks_every_secret(arguments: list[str]) -> None:
    environ = {
        "REDIS_URL": "redis://user:hush@h/0",
        "BAUD_MODEM__BROKER_URL": "amqp://u:hush@q//",
        "BAUD_LLM__API_KEY": "hush",
        "BAUD_LLM__PLANNER__MODEL": "x",
        "BAUD_TOOLS__WEB__OPTIONS__API_KEY": "hush",
        "OPENAI_API_KEY": "hush",
        "COLUMNS": "200",
    }

    result = runner.invoke(app, arguments, env=environ)

    assert result.exit_code == 0
    assert "redis://user:***@h/0" in result.stdout
    assert "hush" not in result.output


def test_show_names_the_provider_keys_that_are_set() -> None:
    result = runner.invoke(app, ["show"], env={"OPENAI_API_KEY": "hush", "COLUMNS": "200"})

    assert "Provider keys in the environment: OPENAI_API_KEY" in result.stdout


def test_show_of_an_unknown_section_suggests_the_near_one() -> None:
    result = runner.invoke(app, ["show", "gatway"])

    assert result.exit_code == 2
    assert "did you mean 'gateway'?" in result.stderr


def test_a_bad_configuration_ends_with_code_2_and_no_traceback() -> None:
    result = runner.invoke(app, ["show"], env={"BAUD_GATEWAY__PORT": "x"})

    assert result.exit_code == 2
    assert "gateway.port = 'x' (BAUD_GATEWAY__PORT)" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        pytest.param("modem.concurrency", "500", {"modem": {"concurrency": 500}}, id="number"),
        pytest.param("stream.drop_deltas", "no", {"stream": {"drop_deltas": False}}, id="bool"),
        pytest.param("redis.url", "redis://h/1", {"redis": {"url": "redis://h/1"}}, id="url"),
        pytest.param("sandbox.network", "none", {"sandbox": {"network": "none"}}, id="enum"),
        pytest.param("cors.allow_origins", "a,b", {"cors": {"allow_origins": ["a", "b"]}}, id="list"),
        pytest.param("llm.planner.model", "a/b", {"llm": {"planner": {"model": "a/b"}}}, id="named-llm"),
        pytest.param("tools.x.options.n", "5", {"tools": {"x": {"options": {"n": 5}}}}, id="option"),
        pytest.param("data_dir", "/srv", {"data_dir": "/srv"}, id="top"),
    ],
)
def test_set_writes_the_typed_value(key: str, text: str, expected: dict[str, object], folder: Path) -> None:
    result = runner.invoke(app, ["set", key, text])

    assert result.exit_code == 0, result.output
    assert tomllib.loads((folder / "config.local.toml").read_text(encoding="utf-8")) == expected


def test_set_keeps_the_other_keys_and_the_base_file(folder: Path) -> None:
    (folder / "config.toml").write_text("# mine\n", encoding="utf-8")
    (folder / "config.prod.toml").write_text("[modem]\nqueue = 'jobs'\n", encoding="utf-8")

    runner.invoke(app, ["set", "modem.concurrency", "9", "--env", "prod"])

    assert (folder / "config.toml").read_text(encoding="utf-8") == "# mine\n"
    modem = load_settings({"ENV": "prod"}, folder).modem
    assert (modem.queue, modem.concurrency) == ("jobs", 9)
    assert sorted(path.name for path in folder.iterdir()) == ["config.prod.toml", "config.toml"]


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        pytest.param("llm.api_key", "hush", "BAUD_LLM__API_KEY", id="secret"),
        pytest.param("redis.url", "redis://:hush@h/0", "REDIS_URL", id="password"),
        pytest.param("gateway.prot", "1", "did you mean 'port'?", id="unknown"),
        pytest.param("modem.renew_seconds", "9", "modem.lease_seconds", id="conflict"),
    ],
)
def test_set_refuses_and_writes_nothing(key: str, text: str, expected: str, folder: Path) -> None:
    result = runner.invoke(app, ["set", key, text])

    assert result.exit_code == 2
    assert expected in result.stderr
    assert "hush" not in result.output
    assert list(folder.iterdir()) == []


def test_set_warns_of_a_variable_that_still_wins() -> None:
    result = runner.invoke(app, ["set", "modem.concurrency", "9"], env={"BAUD_MODEM__CONCURRENCY": "5"})

    assert result.exit_code == 0
    assert "BAUD_MODEM__CONCURRENCY is set here and wins" in result.stderr


def test_the_documentation_names_every_section() -> None:
    text = (PROJECT / "docs" / "configuration.md").read_text(encoding="utf-8")

    assert [table for table, _ in Settings().tables() if f"`[{table[0]}]`" not in text] == []
