"""The command line: help that teaches, plug-ins that may be broken, commands that reject nonsense."""

from importlib.metadata import EntryPoint

import pytest
import typer
from typer.testing import CliRunner

from baud.cli import build_app
from baud.plugins import GROUP

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
