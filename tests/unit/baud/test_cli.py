"""The command line: help that teaches, plug-ins that may be broken, commands that reject nonsense."""

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from baud.cli import build_app
from baud.command.open_client import find_api_key
from baud.command.run import RunRequest
from baud.plugins import GROUP
from baud.sdk.errors import BaudClientError
from baud.stack_options import StackOptions

good = typer.Typer(help="A plug-in that works.")
not_a_command = 42


@good.command()
def greet() -> None:
    typer.echo("hello from a plug-in")


def point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name=name, value=value, group=GROUP)


GOOD = point("greeting", "tests.unit.baud.test_cli:good")
BROKEN = [
    point("absent", "no_such_module:app"),
    point("nameless", "tests.unit.baud.test_cli:no_such_name"),
    point("number", "tests.unit.baud.test_cli:not_a_command"),
]


def test_help_lists_commands_and_plugins_despite_broken_ones(capsys: pytest.CaptureFixture[str]) -> None:
    result = CliRunner().invoke(build_app(["--help"], [*BROKEN, GOOD]), ["--help"])
    errors = capsys.readouterr().err
    assert result.exit_code == 0
    for name in ("run", "up", "tail", "threads", "why", "greeting"):
        assert name in result.output
    assert 'baud run "write a haiku' in result.output
    for broken in BROKEN:
        assert f"`{broken.name}`" in errors


def test_a_plugin_runs_as_a_command_and_loads_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    result = CliRunner().invoke(build_app(["greeting"], [*BROKEN, GOOD]), ["greeting"])
    assert result.output == "hello from a plug-in\n"
    assert capsys.readouterr().err == ""


def test_own_commands_load_no_plugin(capsys: pytest.CaptureFixture[str]) -> None:
    result = CliRunner().invoke(build_app(["run", "--help"], BROKEN), ["run", "--help"])
    assert result.exit_code == 0
    assert "Exit code: 0 completed, 1 failed" in " ".join(result.output.split())
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("arguments", [["run", "  "], ["run"], ["up", "--port", "70000"], ["up", "--workers", "0"]])
def test_nonsense_is_refused_before_anything_starts(arguments: list[str]) -> None:
    assert CliRunner().invoke(build_app(arguments, []), arguments).exit_code == 2


def test_version_is_one_line() -> None:
    result = CliRunner().invoke(build_app(["--version"], []), ["--version"])
    assert result.exit_code == 0
    assert result.output.startswith("baud ")
    assert len(result.output.splitlines()) == 1


def test_options_before_a_command_of_threads_are_refused_as_another_gateway_may_be_meant() -> None:
    arguments = ["threads", "--url", "http://a.test", "share", "t1", "ann"]
    result = CliRunner().invoke(build_app(arguments, []), arguments)
    assert result.exit_code == 2
    assert "options of share come after it" in " ".join(result.output.split())


@pytest.mark.parametrize("command", ["run", "tail", "why", "answer", "threads", "threads share", "threads unshare"])
def test_help_says_where_the_key_comes_from_and_offers_no_option_for_it(command: str) -> None:
    arguments = [*command.split(), "--help"]
    result = CliRunner().invoke(build_app(arguments, []), arguments)
    assert "--api-key-file" in result.output
    assert "BAUD_API_KEY" in result.output
    assert "--api-key " not in result.output


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b" \n", "is empty"),
        (b"a key\nand another\n", "has a space"),
        (b"\xff\xfe", "beyond ASCII"),
        (b"k" * 70_000, "more than 65536 bytes"),
        (None, "cannot read the API key file"),
    ],
    ids=["blank", "two", "binary", "long", "absent"],
)
def test_a_file_that_holds_no_key_is_refused(tmp_path: Path, content: bytes | None, why: str) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BaudClientError, match=why):
        find_api_key(file, {})


def test_a_file_that_never_ends_is_read_within_limits() -> None:
    with pytest.raises(BaudClientError, match="more than 65536 bytes"):
        find_api_key(Path("/dev/zero"), {})


def test_the_key_of_a_file_wins_over_the_variable(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("baud_of-the-file\n")
    environ = {"BAUD_API_KEY": "baud_of-the-variable\n"}
    assert find_api_key(file, environ) == "baud_of-the-file"
    assert find_api_key(None, environ) == "baud_of-the-variable"
    assert find_api_key(None, {"BAUD_API_KEY": " "}) == find_api_key(None, {}) == ""


def test_a_request_to_run_does_not_show_the_key() -> None:
    request = RunRequest(task="x", thread_id="", url="", api_key="baud_s3cret", as_json=False, options=StackOptions())
    assert "s3cret" not in repr(request)
