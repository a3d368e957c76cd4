"""Log lines: their shape, their context, and that no secret gets into them."""

import json
import logging
import sys
from collections.abc import Iterator

import pytest

from shared.config import LogConfig
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


def test_fixed_and_explicit_fields_override_a_bound_field(capsys: pytest.CaptureFixture[str]) -> None:
    configure()

    with bind(run_id="bound", level="bound"):
        logger.info("x", extra={"run_id": "given"})
    line = read_line(capsys)

    assert (line["run_id"], line["level"]) == ("given", "INFO")


def test_local_lines_are_readable_and_hold_the_fields(capsys: pytest.CaptureFixture[str]) -> None:
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


def test_noisy_libraries_log_only_warnings_and_each_once(capsys: pytest.CaptureFixture[str]) -> None:
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


@pytest.mark.parametrize("log_format", ["json", "color"])
def test_foreign_text_can_neither_begin_a_line_nor_control_a_terminal(
    capsys: pytest.CaptureFixture[str], log_format: str
) -> None:
    forged = "a\nINFO 00:00:00 gateway: all is well\r\x1b[2J\u2028\x85\u202e"
    configure(format=log_format)

    logger.warning("said %s", forged, extra={"flow": forged})
    try:
        raise ValueError(forged)
    except ValueError:
        logger.exception("failed")
    written = capsys.readouterr().err.removesuffix("\n")

    assert not any(line.startswith("INFO") for line in written.splitlines())
    assert not set(written.replace("\n", "")) & set("\r\x1b\u2028\x85\u202e")


@pytest.mark.parametrize("log_format", ["json", "color"])
def test_a_line_is_bounded_whatever_is_logged(capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    configure(format=log_format)
    long = "word " * 1_000_000

    logger.warning("said %s", long, extra={"flow": long, "many": list(range(1000)), "number": 10**5000})
    try:
        raise ValueError(long + "the end")
    except ValueError:
        logger.exception("failed")
    written = capsys.readouterr().err

    assert len(written) < 4 * 8192
    assert written.count("characters left out") == 3
    assert "the end" in written


def test_a_cut_does_not_halve_a_secret(capsys: pytest.CaptureFixture[str]) -> None:
    configure()

    for shift in range(40):
        logger.info("%s", "x" * 6100 + " sk-hush-hush-hush-hush " + "y" * shift + " " + "z" * 9000)
    assert "hush" not in capsys.readouterr().err
