"""Where the database is, out of postgresql://role:password@host:5432/database or sqlite:///path."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

POSTGRES_FORM: Final = "postgresql://role:password@host:5432/database"
SQLITE_FORM: Final = "sqlite:///path/of/baud.db"

_POSTGRES: Final = ("postgresql", "postgres", "postgresql+psycopg")
_SQLITE: Final = "sqlite"


@dataclass(frozen=True, slots=True)
class SqliteFile:
    """A database in a file."""

    path: Path


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """A PostgreSQL database and the role that connects; `uri` is as libpq reads it, password and options too."""

    uri: str = field(repr=False)
    role: str
    hosts: str
    database: str

    def __str__(self) -> str:
        return f"{self.database} on {self.hosts} as {self.role}"


def parse_database_url(url: str) -> SqliteFile | PostgresAddress:
    """Return what the URL names. Raises ValueError, whose text quotes nothing of the URL, which may be secret."""
    scheme, separator, rest = url.partition("://")
    if separator and scheme == _SQLITE:
        return _sqlite_file(rest)
    if separator and scheme in _POSTGRES:
        return _postgres_address(rest)
    raise ValueError("must begin with postgresql:// or sqlite:///")


def _sqlite_file(rest: str) -> SqliteFile:
    path = unquote(rest.removeprefix("/"))
    if not rest.startswith("/") or path.strip("/") in ("", ":memory:") or not {"?", "\0"}.isdisjoint(path):
        raise ValueError(f"must name a file, without options: {SQLITE_FORM}; four slashes begin an absolute path")
    return SqliteFile(Path(path))


def _postgres_address(rest: str) -> PostgresAddress:
    try:
        parts = urlsplit(f"postgresql://{rest}")
    except ValueError:
        raise ValueError(f"has no host that can be read: the form is {POSTGRES_FORM}") from None
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    user_info, _, places = parts.netloc.rpartition("@")
    role = unquote(user_info.partition(":")[0]) or options.get("user", "")
    database = unquote(parts.path.removeprefix("/")) or options.get("dbname", "")
    hosts = places or options.get("host", "")
    if not role:
        raise ValueError(f"must name the role that connects: {POSTGRES_FORM}")
    if not database or "/" in database:
        raise ValueError(f"must end in the name of a database: {POSTGRES_FORM}")
    if not hosts or not all(_is_host_and_port(place) for place in places.split(",")):
        raise ValueError(
            f"must name a host, and a port that is a number: {POSTGRES_FORM}; "
            "in a password, write the characters : / ? # @ % as %3A %2F %3F %23 %40 %25"
        )
    return PostgresAddress(uri=_without_driver(parts), role=role, hosts=hosts, database=database)


def _without_driver(parts: SplitResult) -> str:
    # Not geturl(): it drops an empty host, and libpq needs the slashes in postgresql://role@/database?host=/run.
    query = f"?{parts.query}" if parts.query else ""
    return f"postgresql://{parts.netloc}{parts.path}{query}"


def _is_host_and_port(text: str) -> bool:
    try:
        parts = urlsplit(f"//{text}")
        return not text or (bool(parts.hostname) and (parts.port is None or parts.port > 0))
    except ValueError:
        return False
