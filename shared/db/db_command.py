"""`baud db`: upgrades the schema of the SQL database, and says where it stands."""

import asyncio
import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from shared.database_url import PostgresAddress, SqliteFile, parse_database_url
from shared.db.command_errors import explained
from shared.db.opening import open_sql_stores
from shared.db.schema import check_revision, head_revision
from shared.errors import ConfigurationError, SchemaBehindError, SchemaTooNewError
from shared.redaction import redact_url
from shared.settings.load import load_settings
from shared.settings.model import Settings

if TYPE_CHECKING:
    from shared.db.upgrade import Upgrade

app = typer.Typer(name="db", help="Look after the SQL database: accounts and keys.", no_args_is_help=True)

_SQLITE: Final = "shared.db.upgrade_sqlite"
_POSTGRES: Final = "shared.db.upgrade_postgres"


@app.command()
def upgrade() -> None:
    """Bring the schema of the database to the revision that this version of Baud needs.

    With SQLite the services do it by themselves when they start. With PostgreSQL run it once before a new version is
    started; several at once do it once. It connects by BAUD_DB__OWNER_URL, as the role that owns the schema, and grants
    the role of BAUD_DB__URL what the services need. A superuser makes both roles and the database beforehand:

        CREATE ROLE baud_owner LOGIN PASSWORD '…';

        CREATE ROLE baud LOGIN NOSUPERUSER NOBYPASSRLS PASSWORD '…';

        CREATE DATABASE baud OWNER baud_owner;

    There is no way back to an older schema but a backup.

    Example:

        BAUD_DB__URL=postgresql://baud:…@host/baud BAUD_DB__OWNER_URL=postgresql://baud_owner:…@host/baud \\
        baud db upgrade
    """
    with explained():
        settings = load_settings(os.environ, Path.cwd())
        done = _upgrade(settings)
    if done.is_change:
        typer.echo(f"schema upgraded from {done.before or 'nothing'} to {done.after}")
    else:
        typer.echo(f"schema is at {done.after} already")


@app.command()
def status() -> None:
    """Print which database is used, the revision of its schema, and the one that this version of Baud needs.

    Nothing is made or changed. The exit code is 1 when the schema is behind, or newer than this version.

    Example: baud db status || baud db upgrade
    """
    with explained():
        settings = load_settings(os.environ, Path.cwd())
        typer.echo(f"database  {_shown(settings)}")
        found = asyncio.run(_read_revision(settings))
        typer.echo(f"schema    {found or 'none'}")
        typer.echo(f"needed    {head_revision()}")
        try:
            check_revision(found)
        except (SchemaBehindError, SchemaTooNewError) as error:
            typer.echo(error.message, err=True)
            raise typer.Exit(1) from error


def _upgrade(settings: Settings) -> "Upgrade":
    address = settings.database_address
    if isinstance(address, SqliteFile):
        on_sqlite: Upgrade = importlib.import_module(_SQLITE).upgrade_sqlite(address.path)
        return on_sqlite
    owner_url = settings.db.owner_url.get_secret_value()
    owner = parse_database_url(owner_url) if owner_url else None
    if not isinstance(owner, PostgresAddress):
        raise ConfigurationError(
            "set BAUD_DB__OWNER_URL to the URL of the role that owns the schema, which is not the one of db.url;"
            " `baud db upgrade --help` says how to make both"
        )
    on_postgres: Upgrade = importlib.import_module(_POSTGRES).upgrade_postgres(owner, address, settings.db)
    return on_postgres


def _shown(settings: Settings) -> str:
    address = settings.database_address
    return f"sqlite:///{address.path}" if isinstance(address, SqliteFile) else redact_url(address.uri)


async def _read_revision(settings: Settings) -> str | None:
    async with open_sql_stores(settings) as stores:
        return await stores.database.read_revision()
