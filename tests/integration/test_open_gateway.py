"""Commands find a gateway or start one, and leave nothing running."""

import os
from pathlib import Path

import psutil
import pytest

from baud import AsyncBaud
from baud.command.open_gateway import open_gateway
from baud.sdk.errors import BaudClientError, StackError
from baud.stack.data_dir import DataDir
from baud.stack_options import StackOptions
from baud.terminal.interruption import Interruption
from tests.fakes.fake_stack import BROKEN_COMMANDS, COMMANDS

NOBODY = "http://127.0.0.1:9"


def options(folder: Path) -> StackOptions:
    return StackOptions(data_dir=folder, port=0, workers=2, commands=COMMANDS)


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


async def test_a_stack_is_started_and_gone_afterwards(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = children()
    async with (
        Interruption() as interruption,
        open_gateway("", options(tmp_path / "data"), interruption, env=os.environ, default_url=NOBODY) as gateway,
    ):
        assert gateway.is_own
        async with AsyncBaud(gateway.url) as baud:
            assert (await baud.health()).status == "healthy"
        assert len(children() - before) == 4
    assert children() == before
    assert capfd.readouterr().out == ""
    assert (tmp_path / "data" / "logs" / "stack.log").exists()


async def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    held = DataDir(tmp_path / "data")
    held.acquire()
    async with (
        Interruption() as interruption,
        open_gateway("", options(tmp_path / "data"), interruption, env=os.environ, default_url=NOBODY) as gateway,
    ):
        assert gateway.is_own
    held.release()
    assert not (tmp_path / "data" / "redis").exists()


async def test_a_running_gateway_is_used(tmp_path: Path) -> None:
    async with (
        Interruption() as interruption,
        open_gateway("", options(tmp_path / "one"), interruption, env=os.environ, default_url=NOBODY) as first,
        open_gateway("", options(tmp_path / "two"), interruption, env=os.environ, default_url=first.url) as second,
    ):
        assert (second.url, second.is_own) == (first.url, False)
    assert not (tmp_path / "two").exists()


async def test_a_model_for_a_running_gateway_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BaudClientError, match="--model"):
        async with (
            Interruption() as interruption,
            open_gateway(NOBODY, StackOptions(model="x"), interruption, env=os.environ),
        ):
            pass


async def test_a_failed_start_shows_the_output_of_the_service(tmp_path: Path) -> None:
    broken = StackOptions(data_dir=tmp_path / "data", port=0, commands=BROKEN_COMMANDS)
    with pytest.raises(StackError, match="no model is configured"):
        async with (
            Interruption() as interruption,
            open_gateway("", broken, interruption, env=os.environ, default_url=NOBODY),
        ):
            pass
