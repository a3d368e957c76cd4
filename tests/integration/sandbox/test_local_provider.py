"""How commands are kept in is chosen once, said aloud when it is weak, and refused where it may not be weak."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from shared.config import IsolationKind, Network, SandboxConfig
from workflow.errors import SandboxUnavailableError
from workflow.service.sandbox.base import Command
from workflow.service.sandbox.bubblewrap import BubblewrapIsolation
from workflow.service.sandbox.local_provider import LocalProvider
from workflow.service.sandbox.pool import SandboxPool
from workflow.service.sandbox.process_isolation import ProcessIsolation
from workflow.service.sandbox.programs import bubblewrap_programs
from workflow.service.sandbox.workspaces import Workspaces


@pytest.fixture
def broken_bubblewrap(tmp_path: Path) -> str:
    """A bwrap that cannot make namespaces."""
    folder = tmp_path / "broken"
    folder.mkdir()
    program = folder / "bwrap"
    program.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    program.chmod(0o755)
    return str(program)


def provider(
    root: Path,
    isolation: IsolationKind = IsolationKind.AUTO,
    *,
    network: Network = Network.OPEN,
    is_production: bool = False,
    programs: Sequence[str] | None = None,
) -> LocalProvider:
    return LocalProvider(
        SandboxConfig(isolation=isolation, network=network),
        root / "sandboxes",
        is_production=is_production,
        env=os.environ,
        find_bubblewrap=bubblewrap_programs if programs is None else lambda _: programs,
    )


async def test_auto_takes_bubblewrap_where_it_works(tmp_path: Path) -> None:
    local = provider(tmp_path, is_production=True)
    assert isinstance(await local.isolation(), BubblewrapIsolation)
    assert await local.isolation() is await local.isolation()
    assert os.listdir(tmp_path / "sandboxes") == []


async def test_auto_falls_back_with_one_warning(
    tmp_path: Path, broken_bubblewrap: str, caplog: pytest.LogCaptureFixture
) -> None:
    local = provider(tmp_path, programs=[broken_bubblewrap])
    with caplog.at_level(logging.WARNING):
        await local.create("t1")
        await local.create("t2")
    assert isinstance(await local.isolation(), ProcessIsolation)
    (warning,) = caplog.messages
    assert "without isolation" in warning
    assert "No permissions to create new namespace" in warning


@pytest.mark.parametrize(
    ("isolation", "is_production", "says"),
    [
        (IsolationKind.BUBBLEWRAP, False, "No permissions to create new namespace.*unprivileged user namespaces"),
        (IsolationKind.AUTO, True, "without isolation no command runs in production"),
        (IsolationKind.PROCESS, True, r"sandbox\.isolation is process"),
    ],
)
async def test_weak_isolation_is_refused_with_a_way_to_mend_it(
    tmp_path: Path, broken_bubblewrap: str, isolation: IsolationKind, is_production: bool, says: str
) -> None:
    local = provider(tmp_path, isolation, is_production=is_production, programs=[broken_bubblewrap])
    with pytest.raises(SandboxUnavailableError, match=says):
        await local.create("t1")


@pytest.mark.parametrize("isolation", [IsolationKind.AUTO, IsolationKind.PROCESS])
async def test_a_closed_network_that_cannot_be_kept_closed_is_refused(
    tmp_path: Path, broken_bubblewrap: str, isolation: IsolationKind
) -> None:
    local = provider(tmp_path, isolation, network=Network.NONE, programs=[broken_bubblewrap])
    with pytest.raises(SandboxUnavailableError, match=r"sandbox\.network is none, and .*set sandbox\.network to open"):
        await local.create("t1")


async def test_a_missing_bubblewrap_is_named(tmp_path: Path) -> None:
    with pytest.raises(SandboxUnavailableError, match="there is no program bwrap"):
        await provider(tmp_path, IsolationKind.BUBBLEWRAP, programs=[]).create("t1")


async def test_a_second_bubblewrap_is_tried_where_the_first_may_not_make_namespaces(
    tmp_path: Path, broken_bubblewrap: str
) -> None:
    local = provider(tmp_path, programs=[broken_bubblewrap, *bubblewrap_programs(os.environ)])
    assert isinstance(await local.isolation(), BubblewrapIsolation)


async def test_an_allow_list_is_refused_with_what_to_choose(tmp_path: Path) -> None:
    with pytest.raises(SandboxUnavailableError, match="none or open"):
        await provider(tmp_path, network=Network.ALLOW_LIST).create("t1")


async def test_the_pool_works_over_a_root_behind_a_symlink(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    local = LocalProvider(SandboxConfig(), tmp_path / "link", is_production=False, env=os.environ)
    pool = SandboxPool(local, idle_timeout_seconds=60)
    sandbox = await pool.get("../t1")
    await sandbox.write_files({"a": b"1"})
    assert (await sandbox.run(Command(argv=["cat", await sandbox.display_path("a")]))).output == "1"
    await pool.close()
    (workspace,) = Workspaces(tmp_path / "real").all()
    assert workspace.thread_id == "../t1"
