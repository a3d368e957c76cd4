"""Log lines: their shape, their context, and that no secret gets into them."""

import json
import logging
import sys
from collections.abc import Iterator

import pytest

from shared.contract.config import LogConfig
from shared.log import bind, configure_logging

logger = logging.getLogger("baud.test")


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def configure(env: str = "prod", **config: str) -> None:
    configure_logging(LogConfig.model_validate(config), env=env, service="gateway", environ={})


def read_line(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    (line,) = capsys.readouterr().err.splitlines()
    parsed: dict[str, object] = json.loads(line)
    return parsed


def test_a_json_line_has_the_fixed_fields_first(capsys: pytest.CaptureFixture[str]) -> None:
    configure()

    logger.warning("hello %s", "world", extra={"run_id": "r1"})
    line = read_line(capsys)

    assert list(line) == ["time", "level", "logger", "service", "pid", "message", "run_id"]
    assert (line["level"], line["logger"], line["service"]) == ("WARNING", "baud.test", "gateway")
    assert (line["message"], line["run_id"]) == ("hello world", "r1")
    assert str(line["time"]).endswith("+00:00")


def test_exception_text_stays_on_the_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure()

    try:
        raise ValueError("broken")
    except ValueError:
        logger.exception("failed")

    assert "ValueError: broken" in str(read_line(capsys)["exception"])


def test_bound_fields_are_on_every_line_of_the_block(capsys: pytest.CaptureFixture[str]) -> None:
    configure()

    with bind(thread_id="t1"), bind(run_id="r1"):
        logger.info("inside")
    inside = read_line(capsys)
    logger.info("outside")
    outside = read_line(capsys)

    assert (inside["thread_id"], inside["run_id"]) == ("t1", "r1")
    assert "thread_id" not in outside


def test_a_bound_field_gives_way_to_the_fixed_and_the_explicit(capsys: pytest.CaptureFixture[str]) -> None:
    configure()

    with bind(run_id="bound", level="bound"):
        logger.info("x", extra={"run_id": "given"})
    line = read_line(capsys)

    assert (line["run_id"], line["level"]) == ("given", "INFO")


def test_local_lines_are_for_people_and_carry_the_fields(capsys: pytest.CaptureFixture[str]) -> None:
    configure("local")

    with bind(run_id="r1"):
        logger.info("hello")

    assert capsys.readouterr().err.rstrip().endswith("baud.test: hello [run_id=r1]")


@pytest.mark.parametrize(
    ("env", "chosen", "is_json"),
    [("local", "auto", False), ("dev", "auto", True), ("local", "json", True), ("prod", "color", False)],
)
def test_the_format_follows_the_environment_unless_chosen(
    env: str, chosen: str, is_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(env, format=chosen)

    logger.info("x")

    assert capsys.readouterr().err.startswith("{") is is_json


def test_lines_below_the_level_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    configure(level="WARNING")

    logger.info("quiet")

    assert capsys.readouterr().err == ""


def test_configuring_twice_writes_each_line_once(capsys: pytest.CaptureFixture[str]) -> None:
    configure()
    configure()

    logger.info("x")

    assert read_line(capsys)["message"] == "x"


def test_noisy_libraries_say_only_warnings_and_say_them_once(capsys: pytest.CaptureFixture[str]) -> None:
    library = logging.getLogger("LiteLLM")
    library.addHandler(logging.StreamHandler(sys.stderr))
    configure(level="DEBUG")

    library.info("request")
    library.warning("trouble")

    assert read_line(capsys)["message"] == "trouble"


@pytest.mark.parametrize("env", ["local", "prod"])
def test_no_secret_reaches_message_fields_or_exception(env: str, capsys: pytest.CaptureFixture[str]) -> None:
    environ = {"SEARCH_API_KEY": 'hush"quoted', "REDIS_URL": "redis://:hush-p%40ss@h/0"}
    configure_logging(LogConfig(), env=env, service="modem", environ=environ)

    try:
        raise ValueError("redis://:hush@host/0 and hush-p@ss")
    except ValueError:
        logger.exception(
            "key %s, %s", 'hush"quoted', {"api_key": "hush it"}, extra={"password": "hush hush", "url": "sk-hush12345"}
        )
    written = capsys.readouterr().err

    assert "***" in written
    assert [line for line in written.splitlines() if "hush" in line and "raise ValueError" not in line] == []


def test_what_somebody_else_wrote_cannot_look_like_another_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure(format="color")
    with bind(thread_id="a\nERROR forged"):
        logger.warning("run %s begins", "b\r\nERROR forged\x1b[2K")
    (line,) = capsys.readouterr().err.splitlines()
    assert "run b\\r\\nERROR forged\\x1b[2K begins [thread_id=a\\nERROR forged]" in line


@pytest.mark.parametrize("form", ["color", "json"])
def test_a_huge_message_is_cut(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure(format=form)
    logger.warning("%s", "x" * 1_000_000)
    (line,) = capsys.readouterr().err.splitlines()
    assert len(line) < 11_000
    assert "990000 characters left out" in line
