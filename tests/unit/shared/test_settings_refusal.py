"""What the configuration refuses, and that each refusal names key, source and allowed values."""

from pathlib import Path

import pytest

from shared.errors import ConfigurationError
from shared.settings.load import load_settings

_CLUSTER = {"BAUD_REDIS__CLUSTER": "true", "BAUD_MODEM__BROKER_URL": "amqp://h//"}


def refusal(folder: Path, environ: dict[str, str] | None = None, toml: str = "") -> str:
    (folder / "config.toml").write_text(toml, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_settings(environ or {}, folder)
    return caught.value.message


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        pytest.param("[modem]\nconcurency = 3", ("modem.concurency = 3", "did you mean 'concurrency'?"), id="key"),
        pytest.param("[modme]\nqueue = 'x'", ("modme.queue = 'x'", "did you mean 'modem'?"), id="section"),
        pytest.param("[modme]", ("there is no section 'modme'",), id="empty-section"),
        pytest.param("concurrency = 3", ("there is no section 'concurrency'", "data_dir"), id="top"),
        pytest.param("[llm]\nmodle = 'x'", ("[llm] has no key 'modle'", "did you mean 'model'?"), id="llm"),
        pytest.param("[llm.plan]\nmodle = 'x'", ("[llm.plan] has no key 'modle'",), id="named-llm"),
        pytest.param("[tools]\nbash = true", ("write [tools.bash]",), id="tool-without-table"),
        pytest.param("[tools.bash]\ntimeot = 1", ("did you mean 'timeout'?",), id="tool"),
        pytest.param("redis = 'x'", ("redis is a section",), id="section-as-value"),
        pytest.param("[redis.url]\nhost = 'x'", ("redis.url is a single value, not a table",), id="value-as-section"),
        pytest.param("[[redis]]\ncluster = true", ("redis is a section",), id="list-of-tables"),
        pytest.param("env = 'prod'", ("chosen by the variable ENV",), id="env"),
    ],
)
def test_unknown_keys_of_a_file_are_refused(toml: str, expected: tuple[str, ...], tmp_path: Path) -> None:
    message = refusal(tmp_path, toml=toml)

    assert "(config.toml)" in message
    assert [part for part in expected if part not in message] == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("BAUD_MODEM__CONCURENCY", "did you mean 'concurrency'?", id="key"),
        pytest.param("BAUD_MODME__QUEUE", "did you mean 'modem'?", id="section"),
        pytest.param("BAUD_GATEWAY_PORT", "joined by two underscores: BAUD_GATEWAY__PORT", id="one-underscore"),
        pytest.param("BAUD_MODEM", "modem is a section", id="section-alone"),
        pytest.param("BAUD_ENV", "chosen by the variable ENV", id="env"),
        pytest.param("BAUD_REDIS__URL__HOST", "redis.url is a single value", id="too-deep"),
    ],
)
def test_unknown_variables_are_refused_by_name(name: str, expected: str, tmp_path: Path) -> None:
    message = refusal(tmp_path, {name: "8000"})

    assert f"{name} = '8000' (environment)" in message
    assert expected in message


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        pytest.param("BAUD_GATEWAY__PORT", "70000", "65535", id="range"),
        pytest.param("BAUD_GATEWAY__PORT", "many", "valid integer", id="type"),
        pytest.param("BAUD_SANDBOX__NETWORK", "all", "'none', 'allow-list' or 'open'", id="enum"),
        pytest.param("BAUD_LOG__LEVEL", "loud", "DEBUG | INFO | WARNING | ERROR", id="pattern"),
        pytest.param("BAUD_MODEM__LEASE_SECONDS", "inf", "finite number", id="infinite"),
        pytest.param("BAUD_CORS__ALLOW_METHODS", "[1", "valid tuple", id="broken-list"),
        pytest.param("BAUD_CORS__ALLOW_METHODS", "[1]", "valid string", id="wrong-item"),
    ],
)
def test_bad_values_name_key_value_source_and_what_is_allowed(
    name: str, value: str, expected: str, tmp_path: Path
) -> None:
    message = refusal(tmp_path, {name: value})

    key = name.removeprefix("BAUD_").lower().replace("__", ".")
    assert f"{key} = " in message
    assert f"({name})" in message
    assert expected in message


def test_all_problems_are_reported_at_once_one_a_line(tmp_path: Path) -> None:
    message = refusal(
        tmp_path,
        {"BAUD_GATEWAY__PORT": "x", "BAUD_NONSENSE": "1"},
        "[modem]\nqueue = 3\nconcurrency = 0\n[stream]\ntypo = 1\n",
    )

    _, *lines = message.splitlines()
    starts = sorted(line.split()[0] for line in lines)
    assert starts == ["BAUD_NONSENSE", "gateway.port", "modem.concurrency", "modem.queue", "stream.typo"]


def test_a_fault_in_llm_is_not_repeated_for_those_that_inherit_it(tmp_path: Path) -> None:
    message = refusal(tmp_path, toml="[llm]\ntimeout = -1\n[llm.planner]\nmodel = 'x'\n")

    assert message.count("timeout") == 1


@pytest.mark.parametrize(
    ("toml", "secret", "variable"),
    [
        pytest.param("[llm]\napi_key = 'hush'", "hush", "BAUD_LLM__API_KEY", id="api-key"),
        pytest.param("[llm.planner]\napi_key = 'hush'", "hush", "BAUD_LLM__PLANNER__API_KEY", id="named"),
        pytest.param("[redis]\nurl = 'redis://:hush@h/0'", "hush", "REDIS_URL", id="redis"),
        pytest.param("[modem]\nbroker_url = 'amqp://u:hush@h//'", "hush", "BAUD_MODEM__BROKER_URL", id="broker"),
        pytest.param("[db]\nurl = 'postgresql://u:hush@h/d'", "hush", "BAUD_DB__URL", id="database"),
        pytest.param("[db]\nowner_url = 'postgresql://u:hush@h/d'", "hush", "BAUD_DB__OWNER_URL", id="owner"),
        pytest.param("[db]\nurl = 'postgresql://u@h/d?password=hush1'", "hush", "BAUD_DB__URL", id="database-option"),
        pytest.param(
            "[tools.web.options]\napi_key = 'hush'", "hush", "BAUD_TOOLS__WEB__OPTIONS__API_KEY", id="tool-option"
        ),
        pytest.param("[llm]\nmodel = 'sk-hush12345678'", "hush", "BAUD_LLM__MODEL", id="looks-like-a-key"),
    ],
)
def test_secrets_in_a_file_are_refused_unseen(toml: str, secret: str, variable: str, tmp_path: Path) -> None:
    message = refusal(tmp_path, toml=toml)

    assert "a secret does not belong in a file" in message
    assert f"set {variable}" in message
    assert secret not in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("REDIS_URL", "http://:hush@h/0", id="bad-scheme"),
        pytest.param("REDIS_URL", "redis+sentinel://h?sentinel_password=hush", id="sentinel"),
        pytest.param("BAUD_MODEM__BROKER_URL", "redis+sentinel://a:hush@b:hush/main", id="password-with-at"),
        pytest.param("BAUD_REDIS__PASSWORD", "hush", id="unknown-key"),
        pytest.param("BAUD_DB__URL", "postgresql://role:hush/slash@h/d", id="password-with-slash"),
        pytest.param("BAUD_DB__OWNER_URL", "postgresql://role:hush@h/d", id="owner-alone"),
        pytest.param("BAUD_GATEWAY__PORT", "redis://:hush@h/0", id="wrong-variable"),
    ],
)
def test_secrets_in_variables_are_masked_in_errors(name: str, value: str, tmp_path: Path) -> None:
    message = refusal(tmp_path, {name: value})

    assert "***" in message
    assert "hush" not in message


@pytest.mark.parametrize(
    ("environ", "key"),
    [
        pytest.param({"BAUD_MODEM__RENEW_SECONDS": "7.5"}, "modem.renew_seconds", id="renewal"),
        pytest.param({"BAUD_AGENT__PLANNING_LLM": "nobody"}, "agent.planning_llm", id="planning-llm"),
        pytest.param({"BAUD_AGENT__EXECUTION_LLM": "nobody"}, "agent.execution_llm", id="execution-llm"),
        pytest.param({"BAUD_SANDBOX__PROVIDER": "moon"}, "sandbox.provider", id="provider"),
        pytest.param({"BAUD_LLM__PROVIDER": "moon"}, "llm.provider", id="model-provider"),
        pytest.param({"BAUD_LLM__X__PROVIDER": "moon"}, "llm.x.provider", id="named-model-provider"),
        pytest.param(
            {"BAUD_LLM__PROVIDER": "moon", "BAUD_LLM__X__MODEL": "m"}, "llm.provider", id="inherited-model-provider"
        ),
        pytest.param({"BAUD_SANDBOX__NETWORK": "allow-list"}, "sandbox.network", id="network"),
        pytest.param({"BAUD_SANDBOX__ISOLATION": "process", "ENV": "prod"}, "sandbox.isolation", id="isolation"),
        pytest.param({"BAUD_STREAM__IDLE_TIMEOUT": "15"}, "stream.keep_alive_interval", id="idle-timeout"),
        pytest.param({"BAUD_STREAM__MAX_DURATION": "10"}, "stream.keep_alive_interval", id="max-duration"),
        pytest.param({"BAUD_LLM__X__RETRY_MIN_WAIT": "60"}, "llm.x.retry_min_wait", id="retry"),
        pytest.param({"BAUD_GATEWAY__TRUSTED_PROXIES": "10.0.0.7,*"}, "gateway.trusted_proxies", id="proxies"),
        pytest.param({"BAUD_GATEWAY__ALLOWED_HOSTS": "a.example,https://b.example"}, "gateway.allowed_hosts", id="url"),
        pytest.param({"BAUD_GATEWAY__ALLOWED_HOSTS": "a.example:443"}, "gateway.allowed_hosts", id="host-with-port"),
        pytest.param({"BAUD_GATEWAY__ALLOWED_HOSTS": "a.*.example"}, "gateway.allowed_hosts", id="host-pattern"),
        pytest.param({"REDIS_URL": "h:6379"}, "redis.url", id="redis-scheme"),
        pytest.param({"REDIS_URL": "redis://h:port/0"}, "redis.url", id="redis-port"),
        pytest.param({"REDIS_URL": "redis:///0"}, "redis.url", id="redis-host"),
        pytest.param({"REDIS_URL": "redis://h/first"}, "redis.url", id="redis-database"),
        pytest.param({"REDIS_URL": "unix://"}, "redis.url", id="redis-socket"),
        pytest.param({"REDIS_URL": "redis+sentinel://h:26379"}, "redis.url", id="sentinel-master"),
        pytest.param({"REDIS_URL": "amqp://h//"}, "redis.url", id="redis-amqp"),
        pytest.param({"BAUD_REDIS__CLUSTER": "true"}, "modem.broker_url", id="cluster-without-broker"),
        pytest.param(
            {"BAUD_REDIS__CLUSTER": "true", "REDIS_URL": "redis://h/0", "BAUD_MODEM__BROKER_URL": "redis://h:6379/1"},
            "modem.broker_url",
            id="cluster-as-broker",
        ),
        pytest.param({**_CLUSTER, "REDIS_URL": "redis+sentinel://h/main"}, "redis.cluster", id="cluster-of-sentinels"),
        pytest.param({**_CLUSTER, "REDIS_URL": "unix:///run/redis.sock"}, "redis.cluster", id="cluster-socket"),
        pytest.param({**_CLUSTER, "REDIS_URL": "redis://h/1"}, "redis.cluster", id="cluster-database"),
        pytest.param({"BAUD_MODEM__BROKER_URL": "rabbit"}, "modem.broker_url", id="broker"),
        pytest.param({"BAUD_MODEM__BROKER_URL": "sqs://h"}, "modem.broker_url", id="broker-scheme"),
        pytest.param({"BAUD_MODEM__BROKER_URL": "amqp://h:port//"}, "modem.broker_url", id="broker-port"),
        pytest.param({"BAUD_MODEM__BROKER_URL": "amqp://a//;redis://b/0"}, "modem.broker_url", id="broker-mixed"),
        pytest.param({"BAUD_MODEM__BROKER_URL": "sentinel://h"}, "modem.broker_url", id="broker-sentinel"),
        pytest.param({"BAUD_DB__URL": "mysql://role@h/d"}, "db.url", id="database-scheme"),
        pytest.param({"BAUD_DB__URL": "sqlite://"}, "db.url", id="database-in-memory"),
        pytest.param({"BAUD_DB__URL": "postgresql://h/d"}, "db.url", id="database-role"),
        pytest.param({"BAUD_DB__URL": "postgresql://role@h"}, "db.url", id="database-name"),
        pytest.param({"BAUD_DB__URL": "postgresql://role@h:port/d"}, "db.url", id="database-port"),
        pytest.param({"BAUD_DB__URL": "postgresql://role@/d"}, "db.url", id="database-host"),
        pytest.param({"BAUD_DB__URL": "postgresql://role@[h/d"}, "db.url", id="database-brackets"),
        pytest.param({"BAUD_DB__OWNER_URL": "postgresql://owner@h/d"}, "db.owner_url", id="owner-without-url"),
        pytest.param(
            {"BAUD_DB__URL": "sqlite:///x.db", "BAUD_DB__OWNER_URL": "postgresql://owner@h/d"},
            "db.owner_url",
            id="owner-of-sqlite",
        ),
        pytest.param(
            {"BAUD_DB__URL": "postgresql://r@h/d", "BAUD_DB__OWNER_URL": "sqlite:///x.db"},
            "db.owner_url",
            id="owner-file",
        ),
        pytest.param(
            {"BAUD_DB__URL": "postgresql://r:1@h/d", "BAUD_DB__OWNER_URL": "postgresql://r:2@h/d"},
            "db.owner_url",
            id="owner-is-service",
        ),
        pytest.param(
            {"BAUD_CORS__ALLOW_ORIGINS": "*", "BAUD_CORS__ALLOW_CREDENTIALS": "true"}, "cors.allow_origins", id="cors"
        ),
    ],
)
def test_values_that_do_not_go_together_are_refused(environ: dict[str, str], key: str, tmp_path: Path) -> None:
    (line,) = refusal(tmp_path, environ).splitlines()[1:]

    assert line.strip().startswith(key)


def test_broken_toml_is_refused_with_file_and_line(tmp_path: Path) -> None:
    message = refusal(tmp_path, toml="[modem]\nqueue = \n")

    assert str(tmp_path / "config.toml") in message
    assert "line 2" in message


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"\xff\xfe")

    with pytest.raises(ConfigurationError, match="not valid TOML"):
        load_settings({}, tmp_path)


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.toml").mkdir()

    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_settings({}, tmp_path)


def test_a_baud_config_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    assert "BAUD_CONFIG names" in refusal(tmp_path, {"BAUD_CONFIG": "missing.toml"})


def test_an_env_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    assert "ENV = '../prod'" in refusal(tmp_path, {"ENV": "../prod"})
