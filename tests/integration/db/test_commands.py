"""`baud db` and `baud keys` as an operator runs them, on both engines: what they print, where, and how they exit."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import LiteralString

import pytest
from typer.testing import CliRunner

from shared.db import db_command, keys_command
from shared.db.schema import head_revision
from shared.settings.model import Settings
from tests.integration.db.conftest import PostgresDatabase
from tests.integration.postgres_process import OWNER, SERVICE
from tests.integration.redis_process import free_port

RunSql = Callable[[LiteralString], None]
runner = CliRunner()


@pytest.fixture(autouse=True)
def empty_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name in {"ENV", "REDIS_URL"} or name.startswith("BAUD_"):
            monkeypatch.delenv(name)


@pytest.fixture
def environment(db_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables that name the database of the test."""
    monkeypatch.setenv("BAUD_DATA_DIR", str(db_settings.data_dir))
    use(monkeypatch, db_settings)


def use(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    monkeypatch.setenv("BAUD_DB__URL", settings.db.url.get_secret_value())
    monkeypatch.setenv("BAUD_DB__OWNER_URL", settings.db.owner_url.get_secret_value())


def keys(*arguments: str) -> tuple[int, str, str]:
    done = runner.invoke(keys_command.app, arguments)
    return done.exit_code, done.stdout, done.stderr


def db(*arguments: str) -> tuple[int, str, str]:
    done = runner.invoke(db_command.app, arguments)
    return done.exit_code, done.stdout, done.stderr


def listed(*arguments: str) -> list[dict[str, object]]:
    code, out, err = keys("list", "--json", *arguments)
    assert (code, err) == (0, "")
    found: list[dict[str, object]] = json.loads(out)
    return found


@pytest.mark.usefixtures("environment")
def test_a_key_is_made_listed_and_revoked() -> None:
    code, out, err = keys("create", "--user", "ann", "--scopes", "run, read", "--expires", "30d", "--name", "laptop")
    assert (code, out.startswith("baud_"), out.count("\n"), len(out)) == (0, True, 1, 58)
    assert "made the user ann of the tenant default" in err
    assert out.strip() not in err
    (key,) = listed("--user", "ann")
    assert (key["scopes"], key["name"], key["prefix"]) == (["read", "run"], "laptop", out[:13])
    left = datetime.fromisoformat(str(key["expires_at"])) - datetime.now(UTC)
    assert timedelta(days=29, hours=23) < left <= timedelta(days=30)
    code, out, err = keys("revoke", str(key["prefix"]))
    assert (code, err) == (0, "")
    assert f"key {key['id']} of ann is revoked since" in out
    table = keys("list")[1]
    assert str(key["prefix"]) in table
    assert "revoked" in table
    assert out.strip()[5:] not in table


@pytest.mark.usefixtures("environment")
def test_a_tenant_is_made_on_demand_only() -> None:
    code, out, err = keys("create", "--tenant", "shop", "--user", "web")
    assert (code, out) == (1, "")
    assert "There is no tenant 'shop' (there are: default)" in err
    assert "--make-tenant" in err
    for made in (True, False):
        code, out, err = keys("create", "--tenant", "shop", "--user", "web", "--make-tenant")
        assert (code, "made the tenant shop" in err) == (0, made)
    assert len(listed("--tenant", "shop")) == 2
    assert listed() == []
    for command in (("list",), ("revoke", "x")):
        code, out, err = keys(*command, "--tenant", "shpo")
        assert (code, out) == (1, "")
        assert "There is no tenant 'shpo' (there are: default, shop)" in err


@pytest.mark.parametrize("db_settings", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--scopes", "root"), 2, "there is no scope 'root' (allowed: read, run, admin, act_for_others)"),
        (("--scopes", " , "), 2, "a key needs a scope (allowed: read, run, admin, act_for_others)"),
        (("--expires", "soon"), 2, "'soon' is no duration: write a number and m, h, d, w or y"),
        (("--expires", "0d"), 2, "'0d' is no duration"),
        (("--expires", "-3d"), 2, "'-3d' is no duration"),
        (("--expires", "101y"), 2, "'101y' is no duration"),
        (("--expires", "٣d"), 2, "'٣d' is no duration"),
        (("--name", "x" * 201), 1, "The name of a key has at most 200 printable characters."),
        (("--user", ""), 1, "The id of a user has 1 to 255 printable characters."),
        (("--make-tenant", "--tenant", "a:b"), 1, "This cannot be the id of a tenant"),
    ],
)
@pytest.mark.usefixtures("environment")
def test_bad_options_are_named(options: tuple[str, ...], code: int, said: str) -> None:
    found, out, err = keys("create", "--user", "ann", *options)
    words = " ".join(err.replace("│", " ").split())
    assert (found, out, said in words, words) == (code, "", True, words)


@pytest.mark.usefixtures("environment")
def test_a_key_that_there_is_not_is_not_revoked() -> None:
    assert keys("revoke", "baud_00000000") == (1, "", "error: The tenant has no such API key.\n")
    assert keys("list") == (0, "", "there are no keys\n")


@pytest.mark.usefixtures("environment")
def test_status_compares_revisions_and_shows_no_password(run_sql: RunSql, db_settings: Settings) -> None:
    code, out, err = db("status")
    assert (code, err) == (0, "")
    assert f"schema    {head_revision()}\nneeded    {head_revision()}\n" in out
    if url := db_settings.db.url.get_secret_value():
        assert "postgresql://baud:***@127.0.0.1" in out
        assert url not in out
    run_sql("UPDATE schema_version SET version_num = '9999'")
    code, out, err = db("status")
    assert (code, "schema    9999" in out) == (1, True)
    assert "Run the version that made it, or a later one." in err


def test_a_folder_without_a_database_has_a_status_and_is_left_alone(tmp_path: Path) -> None:
    code, out, err = db("status")
    assert (code, "schema    none" in out, "Run: baud db upgrade" in err) == (1, True, True)
    assert list(tmp_path.iterdir()) == []
    assert db("upgrade") == (0, f"schema upgraded from nothing to {head_revision()}\n", "")
    assert db("upgrade") == (0, f"schema is at {head_revision()} already\n", "")
    assert db("status")[0] == 0


def test_postgresql_is_upgraded_by_its_owner(empty_postgres: PostgresDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, empty_postgres.settings())
    monkeypatch.delenv("BAUD_DB__OWNER_URL")
    assert db("status")[0] == 1
    code, out, err = db("upgrade")
    assert (code, out) == (2, "")
    assert "set BAUD_DB__OWNER_URL" in err
    code, out, err = keys("create", "--user", "ann")
    assert (code, out) == (2, "")
    assert "Run: baud db upgrade" in err
    monkeypatch.setenv("BAUD_DB__OWNER_URL", empty_postgres.url(OWNER))
    assert db("upgrade") == (0, f"schema upgraded from nothing to {head_revision()}\n", "")
    assert db("status")[0] == 0
    assert keys("create", "--user", "ann")[0] == 0


def test_status_tells_a_role_that_was_granted_nothing(
    postgres: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAUD_DB__URL", postgres.url(postgres.create_role("", member_of="pg_monitor")))
    code, _, err = db("status")
    assert (code, "Run: baud db upgrade, which also grants" in err) == (2, True)


def test_the_same_role_for_both_urls_is_refused(postgres: PostgresDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAUD_DB__URL", postgres.url(OWNER))
    monkeypatch.setenv("BAUD_DB__OWNER_URL", postgres.url(OWNER))
    code, _, err = db("upgrade")
    assert (code, "must connect as another role" in err) == (2, True)
    monkeypatch.delenv("BAUD_DB__OWNER_URL")
    code, _, err = keys("create", "--user", "ann")
    assert (code, "a role that owns the table api_keys" in err) == (2, True)


@pytest.mark.parametrize("command", [("upgrade",), ("status",)])
def test_a_database_that_is_away_is_reported_with_what_the_driver_said(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    for name, role in (("URL", SERVICE), ("OWNER_URL", OWNER)):
        monkeypatch.setenv(f"BAUD_DB__{name}", f"postgresql://{role}:secret@127.0.0.1:{port}/baud")
    code, _, err = db(*command)
    assert code == 1
    assert "error: The database does not answer. Try again. (" in err
    assert "Connection refused" in err
    assert "secret" not in err
