"""Addresses of databases: the forms that are read, and that what is refused quotes nothing."""

from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from shared.database_url import PostgresAddress, SqliteFile, parse_database_url


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///baud.db", "baud.db"),
        ("sqlite:////var/lib/baud.db", "/var/lib/baud.db"),
        ("sqlite:///with%20space.db", "with space.db"),
    ],
)
def test_a_file_is_named_by_a_path(url: str, path: str) -> None:
    assert parse_database_url(url) == SqliteFile(Path(path))


@pytest.mark.parametrize(
    ("url", "shown", "read"),
    [
        pytest.param(
            "postgresql://baud:p%40ss@db.example:5433/agents",
            "agents on db.example:5433 as baud",
            {"user": "baud", "password": "p@ss", "host": "db.example", "port": "5433", "dbname": "agents"},
            id="usual",
        ),
        pytest.param(
            "postgres://baud@db/agents?sslmode=verify-full",
            "agents on db as baud",
            {"user": "baud", "host": "db", "dbname": "agents", "sslmode": "verify-full"},
            id="option",
        ),
        pytest.param(
            "postgresql+psycopg://baud@a:1,b:2/agents?target_session_attrs=read-write",
            "agents on a:1,b:2 as baud",
            {"user": "baud", "host": "a,b", "port": "1,2", "dbname": "agents", "target_session_attrs": "read-write"},
            id="hosts",
        ),
        pytest.param(
            "postgresql://baud@/agents?host=/run/postgresql",
            "agents on /run/postgresql as baud",
            {"user": "baud", "dbname": "agents", "host": "/run/postgresql"},
            id="socket",
        ),
        pytest.param(
            "postgresql://[::1]:5432/agents?user=baud",
            "agents on [::1]:5432 as baud",
            {"user": "baud", "host": "::1", "port": "5432", "dbname": "agents"},
            id="ipv6",
        ),
    ],
)
def test_libpq_reads_the_same_out_of_an_address(url: str, shown: str, read: dict[str, str]) -> None:
    address = parse_database_url(url)
    assert isinstance(address, PostgresAddress)
    assert (str(address), conninfo_to_dict(address.uri)) == (shown, read)
    assert "p%40ss" not in repr(address)


@pytest.mark.parametrize(
    "url",
    [
        "hush",
        "mysql://hush@h/d",
        "sqlite://hush.db",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///hush.db?mode=ro",
        "sqlite:///hush\0.db",
        "postgresql://role:hush@h",
        "postgresql://role:hush@h/d/e",
        "postgresql://:hush@h/d",
        "postgresql://role:hush@h:0/d",
        "postgresql://role:hush@a,b:x/d",
        "postgresql://role:hush/1@h/d",
        "postgresql://role:hush@[::1/d",
    ],
)
def test_another_address_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"^(must|has) ") as refusal:
        parse_database_url(url)
    assert "hush" not in str(refusal.value)
