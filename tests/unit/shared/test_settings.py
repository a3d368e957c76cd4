"""How the layers of the configuration are put together, and what they mean."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from shared.config import IsolationKind, Network
from shared.errors import ConfigurationError
from shared.settings.load import load_settings, load_with_origins
from shared.settings.model import Settings

PROJECT = Path(__file__).parents[3]


def write(folder: Path, text: str, name: str = "config.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_without_any_source_everything_is_at_its_default(tmp_path: Path) -> None:
    loaded = load_with_origins({}, tmp_path)

    assert loaded.settings == Settings()
    assert loaded.settings.env == "local"
    assert loaded.origins == {}


def test_each_layer_wins_over_the_one_below(tmp_path: Path) -> None:
    write(tmp_path, "[modem]\nconcurrency = 1\nlease_seconds = 20\nrenew_seconds = 2\n")
    write(tmp_path, "[modem]\nlease_seconds = 30\nrenew_seconds = 3\n", "config.prod.toml")

    loaded = load_with_origins({"ENV": "prod", "BAUD_MODEM__RENEW_SECONDS": "4"}, tmp_path)

    assert (loaded.settings.modem.concurrency, loaded.origins["modem", "concurrency"]) == (1, "config.toml")
    assert (loaded.settings.modem.lease_seconds, loaded.origins["modem", "lease_seconds"]) == (30, "config.prod.toml")
    assert loaded.settings.modem.renew_seconds == 4
    assert loaded.origins["modem", "renew_seconds"] == "BAUD_MODEM__RENEW_SECONDS"
    assert (loaded.settings.env, loaded.origins[("env",)]) == ("prod", "ENV")


def test_the_overlay_of_another_environment_is_not_read(tmp_path: Path) -> None:
    write(tmp_path, "[modem]\nconcurrency = 7\n", "config.prod.toml")

    assert load_settings({"ENV": "dev"}, tmp_path).modem.concurrency == Settings().modem.concurrency


def test_redis_url_is_read_and_its_baud_name_wins(tmp_path: Path) -> None:
    usual = {"REDIS_URL": "redis://:secret@one/0"}

    assert load_settings(usual, tmp_path).redis.url.get_secret_value() == "redis://:secret@one/0"
    both = load_settings({**usual, "BAUD_REDIS__URL": "redis://two/0"}, tmp_path)
    assert both.redis.url.get_secret_value() == "redis://two/0"


def test_empty_variables_count_as_absent(tmp_path: Path) -> None:
    environ = {"ENV": "", "REDIS_URL": "", "BAUD_CONFIG": "", "BAUD_MODEM__CONCURRENCY": ""}

    assert load_settings(environ, tmp_path) == Settings()


def test_baud_config_chooses_the_file_and_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    write(folder, "[gateway]\nport = 81\n", "mine.toml")
    write(folder, '[gateway]\nhost = "::1"\n', "config.dev.toml")

    settings = load_settings({"BAUD_CONFIG": "etc/mine.toml", "ENV": "dev"}, tmp_path)

    assert (settings.gateway.port, settings.gateway.host) == (81, "::1")


def test_named_llm_inherits_what_it_does_not_set(tmp_path: Path) -> None:
    write(tmp_path, '[llm]\nmodel = "a/big"\ntimeout = 9\n[llm.planner]\nmodel = "a/small"\n[llm.same]\n')

    loaded = load_with_origins({"BAUD_LLM__API_KEY": "sk-test", "BAUD_LLM__PLANNER__NUM_RETRIES": "1"}, tmp_path)
    planner = loaded.settings.find_llm("planner")

    assert (planner.model, planner.timeout, planner.num_retries) == ("a/small", 9, 1)
    assert planner.api_key.get_secret_value() == "sk-test"
    assert loaded.settings.find_llm("same") == loaded.settings.find_llm("") == loaded.settings.llm
    assert loaded.origins["llm", "planner", "timeout"] == "config.toml, by [llm]"


def test_a_variable_alone_makes_a_named_llm(tmp_path: Path) -> None:
    settings = load_settings({"BAUD_LLM__PLANNER__MODEL": "a/b", "BAUD_AGENT__PLANNING_LLM": "planner"}, tmp_path)

    assert settings.find_llm("planner").model == "a/b"


def test_an_unknown_llm_name_is_refused_with_those_that_exist(tmp_path: Path) -> None:
    settings = load_settings({"BAUD_LLM__PLANNER__MODEL": "a/b"}, tmp_path)

    with pytest.raises(ConfigurationError, match=r"no \[llm.planer\].*planner"):
        settings.find_llm("planer")


def test_tools_take_their_limits_and_options_from_all_layers(tmp_path: Path) -> None:
    write(tmp_path, "[tools.MyTool]\nenabled = false\n[tools.MyTool.options]\nsize = 1\nempty = false\n")
    environ = {
        "BAUD_TOOLS__MYTOOL__TIMEOUT": "5",
        "BAUD_TOOLS__MYTOOL__OPTIONS__SIZE": "2",
        "BAUD_TOOLS__MYTOOL__OPTIONS__WORD": "true story",
    }

    tool = load_settings(environ, tmp_path).tools["MyTool"]

    assert (tool.enabled, tool.timeout) == (False, 5)
    assert tool.options == {"size": 2, "empty": False, "word": "true story"}


@pytest.mark.parametrize("text", ['["https://a", "https://b"]', "https://a, https://b", "https://a,https://b,"])
def test_lists_in_variables_are_json_or_separated_by_commas(text: str, tmp_path: Path) -> None:
    settings = load_settings({"BAUD_CORS__ALLOW_ORIGINS": text}, tmp_path)

    assert settings.cors.allow_origins == ("https://a", "https://b")


def test_empty_sections_set_nothing(tmp_path: Path) -> None:
    write(tmp_path, "[redis]\n[llm]\n[tools]\n[tools.bash.options]\n")

    assert load_settings({}, tmp_path) == Settings()


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    settings = load_settings({}, tmp_path)

    with pytest.raises(ValidationError, match="frozen"):
        settings.gateway.port = 1  # type: ignore[misc] # the point of the test


def test_broker_and_sandbox_folder_follow_what_they_default_to(tmp_path: Path) -> None:
    plain = load_settings({"REDIS_URL": "redis://r/1", "BAUD_DATA_DIR": "/srv/baud"}, tmp_path)
    chosen = load_settings({"BAUD_MODEM__BROKER_URL": "amqp://q//", "BAUD_SANDBOX__ROOT": "/boxes"}, tmp_path)

    assert (plain.broker_url, plain.sandbox_root) == ("redis://r/1", Path("/srv/baud/sandboxes"))
    assert (chosen.broker_url, chosen.sandbox_root) == ("amqp://q//", Path("/boxes"))


def test_kubernetes_service_links_are_not_taken_for_settings(tmp_path: Path) -> None:
    environ = {
        "BAUD_SERVICE_HOST": "10.0.0.1",
        "BAUD_GATEWAY_SERVICE_PORT_HTTP": "8000",
        "BAUD_GATEWAY_PORT": "tcp://10.0.0.1:8000",
        "BAUD_PORT_8000_TCP_ADDR": "10.0.0.1",
    }

    assert load_settings(environ, tmp_path) == Settings()


def test_the_clients_own_variables_are_not_taken_for_settings(tmp_path: Path) -> None:
    assert load_settings({"BAUD_URL": "http://h", "BAUD_API_KEY": "hush"}, tmp_path) == Settings()


def test_the_prod_overlay_of_the_project_closes_the_sandbox() -> None:
    settings = load_settings({"ENV": "prod"}, PROJECT)

    assert settings.sandbox.network is Network.NONE
    assert settings.sandbox.isolation is IsolationKind.BUBBLEWRAP
    assert settings.log.format == "json"


@pytest.mark.parametrize("env", ["local", "dev", "prod"])
def test_the_files_of_the_project_are_valid(env: str) -> None:
    assert load_settings({"ENV": env}, PROJECT).env == env
