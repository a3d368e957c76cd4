"""The parts of a local stack, without starting anything."""

import os
import stat
import sys
from pathlib import Path

import pytest

from baud.sdk.errors import DataDirBusyError, StackError
from baud.sdk.gateway_address import gateway_url
from baud.stack import embedded_redis
from baud.stack.data_dir import DataDir
from baud.stack.network import base_url, claim_port
from baud.stack.stack_plan import StackPlan, without_password
from baud.stack.supervise import backoff_seconds, describe_exit
from baud.stack_options import StackOptions, redis_url_from

SECRET = "redis://:s3cret@127.0.0.1:7000/0"


def plan(env: dict[str, str] | None = None, **options: object) -> StackPlan:
    return StackPlan(StackOptions(**options), env or {}, Path("/data"), 8123)  # type: ignore[arg-type] # names of options


def test_backoff_doubles_from_one_to_thirty_seconds() -> None:
    assert [backoff_seconds(deaths) for deaths in range(1, 8)] == [1, 2, 4, 8, 16, 30, 30]
    assert backoff_seconds(10_000) == 30


@pytest.mark.parametrize(
    ("code", "words"),
    [(0, "exited with code 0"), (3, "exited with code 3"), (-9, "was killed by SIGKILL"), (-99, "killed by signal 99")],
)
def test_an_exit_is_described_in_words(code: int, words: str) -> None:
    assert words in describe_exit(code)


def test_services_get_the_address_of_redis_and_the_data_folder() -> None:
    env = plan(model="openai/x").gateway(SECRET).env
    assert env["REDIS_URL"] == env["BAUD_REDIS__URL"] == SECRET
    assert env["BAUD_DATA_DIR"] == "/data"
    assert env["BAUD_GATEWAY__PORT"] == "8123"
    assert env["BAUD_LLM__MODEL"] == "openai/x"


def test_no_secret_is_on_a_command_line() -> None:
    made = plan(workers=2)
    for spec in (made.gateway(SECRET), *made.modems(SECRET)):
        assert "s3cret" not in " ".join(spec.argv)


def test_the_gateway_is_given_its_address() -> None:
    argv = plan(host="0.0.0.0").gateway(SECRET).argv
    assert argv[-4:] == ("--host", "0.0.0.0", "--port", "8123")
    assert argv[:4] == (sys.executable, "-P", "-m", "gateway")


def test_a_gateway_is_killed_only_after_the_time_that_it_may_take_to_stop() -> None:
    spec = plan({"BAUD_GATEWAY__SHUTDOWN_DELAY": "60"}).gateway(SECRET)
    assert spec.env["BAUD_GATEWAY__SHUTDOWN_DELAY"] == "0"
    assert spec.stop_seconds > 16


def test_the_clients_own_variables_do_not_reach_the_services() -> None:
    env = (
        plan({"BAUD_URL": "x", "BAUD_API_KEY": "y", "BAUD_TOKEN": "y", "ANTHROPIC_API_KEY": "z"}).modems(SECRET)[0].env
    )
    assert "BAUD_URL" not in env
    assert "BAUD_API_KEY" not in env
    assert "BAUD_TOKEN" not in env
    assert env["ANTHROPIC_API_KEY"] == "z"


def test_a_given_redis_url_is_printed_without_its_password() -> None:
    assert without_password("rediss://user:pw@host:6380/1?x=1") == "rediss://host:6380/1?x=1"


@pytest.mark.parametrize(
    ("env", "expected"),
    [({}, ""), ({"REDIS_URL": "a"}, "a"), ({"REDIS_URL": "a", "BAUD_REDIS__URL": "b"}, "b"), ({"REDIS_URL": ""}, "")],
)
def test_the_more_specific_variable_names_redis(env: dict[str, str], expected: str) -> None:
    assert redis_url_from(env) == expected


def test_password_and_port_are_kept_between_starts(tmp_path: Path) -> None:
    first = embedded_redis.prepare(tmp_path)
    assert stat.S_IMODE((tmp_path / "redis" / "password").stat().st_mode) == 0o600
    assert len(first.password) >= 32
    assert embedded_redis.prepare(tmp_path) == first
    assert first.password not in first.public_url


def test_the_redis_configuration_is_durable_and_never_evicts(tmp_path: Path) -> None:
    lines = embedded_redis.EmbeddedRedis(tmp_path / 'a "b"', 7000, "pw").config().decode().splitlines()
    for wanted in ("bind 127.0.0.1", "appendonly yes", "appendfsync always", "maxmemory-policy noeviction"):
        assert wanted in lines
    assert f'dir "{tmp_path}/a \\"b\\""' in lines


def test_a_redis_binary_is_found() -> None:
    assert os.access(embedded_redis.find_binary(), os.X_OK)


def test_a_folder_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    first, second = DataDir(tmp_path / "data"), DataDir(tmp_path / "data")
    first.acquire()
    with pytest.raises(DataDirBusyError, match=f"pid {os.getpid()}"):
        second.acquire()
    first.release()
    second.acquire()
    second.release()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StackError, match="--data-dir"):
        DataDir(tmp_path / "file" / "data").acquire()


@pytest.mark.parametrize(
    ("host", "expected"),
    [("0.0.0.0", "http://127.0.0.1:1"), ("::1", "http://[::1]:1"), ("localhost", "http://localhost:1")],
)
def test_a_wildcard_address_is_reached_by_loopback(host: str, expected: str) -> None:
    assert base_url(host, 1) == expected


def test_a_trailing_slash_of_the_address_is_dropped() -> None:
    assert gateway_url("https://baud.test/") == "https://baud.test"


def test_a_free_port_is_none_that_outgoing_connections_get() -> None:
    assert all(20_000 <= claim_port("127.0.0.1", 0) < 32_000 for _ in range(20))
