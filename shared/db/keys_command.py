"""`baud keys`: makes, lists and revokes API keys."""

import asyncio
import json
import os
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from shared.clock import isoformat
from shared.contract.principal import DEFAULT_TENANT, Scope
from shared.db.command_errors import explained
from shared.db.opening import open_sql_stores
from shared.db.records import ApiKey, NewApiKey
from shared.errors import TenantExistsError, TenantNotFoundError
from shared.settings.load import load_settings

if TYPE_CHECKING:
    from shared.db.stores import SqlStores

T = TypeVar("T")

app = typer.Typer(name="keys", help="Make, list and revoke API keys.", no_args_is_help=True)

_DURATION: Final = re.compile(r"([0-9]{1,6})([mhdwy])")
_UNITS: Final = {
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
    "y": timedelta(days=365),
}
_LONGEST: Final = timedelta(days=36_500)
_NEVER: Final = "never"
_LISTED: Final = 1000
_NAMED: Final = 10

Tenant = Annotated[str, typer.Option("--tenant", metavar="ID", help="The tenant.")]


def parse_scopes(text: str) -> frozenset[Scope]:
    """Return the scopes that a comma-separated list names. Raises typer.BadParameter."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in set(Scope)]
    if unknown or not names:
        what = f"there is no scope {unknown[0]!r}" if unknown else "a key needs a scope"
        raise typer.BadParameter(f"{what} (allowed: {', '.join(Scope)})")
    return frozenset(Scope(name) for name in names)


def parse_duration(text: str) -> timedelta | None:
    """Return how long a key is valid, None for ever. Raises typer.BadParameter."""
    if text == _NEVER:
        return None
    found = _DURATION.fullmatch(text)
    duration = int(found[1]) * _UNITS[found[2]] if found else timedelta()
    if not timedelta() < duration <= _LONGEST:
        raise typer.BadParameter(
            f"{text!r} is no duration: write a number and m, h, d, w or y, as in 30d for 30 days, up to 100y; or never"
        )
    return duration


@app.command()
def create(
    user: Annotated[str, typer.Option("--user", metavar="ID", help="Whose requests they are; made if there is none.")],
    *,
    tenant: Tenant = DEFAULT_TENANT,
    scopes: Annotated[
        str, typer.Option("--scopes", metavar="LIST", help=f"What the key may do, of {', '.join(Scope)}.")
    ] = f"{Scope.RUN},{Scope.READ}",
    expires: Annotated[
        str, typer.Option("--expires", metavar="DURATION", help="How long it is valid, such as 12h, 30d or 1y.")
    ] = _NEVER,
    name: Annotated[str, typer.Option("--name", help="What it is for, as the list shows it.")] = "",
    make_tenant: Annotated[bool, typer.Option("--make-tenant", help="Make the tenant if there is none.")] = False,
) -> None:
    """Make an API key, and print it: the last line of standard output is the key alone.

    It cannot be shown again: only its hash is stored. Clients send it as `Authorization: Bearer KEY`. The scope run is
    for making threads and executing tasks, read for reading them, admin for all of the tenant, act_for_others for
    programs that name the user of a request themselves.

    Examples:

        baud keys create --user ann

        baud keys create --tenant shop --make-tenant --user web --scopes run,read,act_for_others --expires 90d

        export BAUD_API_KEY=$(baud keys create --user ci --expires 1d)
    """
    wanted, duration = parse_scopes(scopes), parse_duration(expires)

    async def work(stores: "SqlStores") -> NewApiKey:
        if make_tenant:
            with suppress(TenantExistsError):
                await stores.tenants.create(tenant)
                typer.echo(f"made the tenant {tenant}", err=True)
        expires_at = datetime.now(UTC) + duration if duration else None
        return await stores.api_keys.create(
            tenant=tenant, user_id=user, scopes=wanted, name=name, expires_at=expires_at
        )

    _print_new(_run(work, tenant))


@app.command(name="list")
def list_keys(
    tenant: Tenant = DEFAULT_TENANT,
    user: Annotated[str | None, typer.Option("--user", metavar="ID", help="Of this user only.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list, newest first.")] = False,
) -> None:
    """List the API keys of a tenant, newest first: how each begins, whose it is, what it may do and until when.

    Example: baud keys list --tenant shop
    """

    async def work(stores: "SqlStores") -> tuple[ApiKey, ...]:
        await stores.tenants.find(tenant)
        return await stores.api_keys.list(tenant, user_id=user, limit=_LISTED)

    keys = _run(work, tenant)
    if as_json:
        typer.echo(json.dumps([_as_json(key) for key in keys], indent=2))
    elif keys:
        Console().print(_table(keys, datetime.now(UTC)))
    else:
        typer.echo("there are no keys", err=True)
    if len(keys) == _LISTED:
        typer.echo(f"these are the newest {_LISTED:,}; narrow them by --user", err=True)


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(metavar="ID|PREFIX", help="The key's id, or how it begins, as the list says.")],
    tenant: Tenant = DEFAULT_TENANT,
) -> None:
    """Revoke an API key, for ever. Gateways refuse it within seconds.

    Example: baud keys revoke baud_1f0c9a7e
    """

    async def work(stores: "SqlStores") -> tuple[ApiKey, ...]:
        await stores.tenants.find(tenant)
        return await stores.api_keys.revoke(tenant, key)

    for revoked in _run(work, tenant):
        assert revoked.revoked_at is not None
        typer.echo(f"key {revoked.id} of {revoked.user_id} is revoked since {isoformat(revoked.revoked_at)}")


def _run(work: "Callable[[SqlStores], Awaitable[T]]", tenant: str) -> T:
    async def opened() -> T:
        async with open_sql_stores(load_settings(os.environ, Path.cwd())) as stores:
            try:
                return await work(stores)
            except TenantNotFoundError as error:
                ids = [each.id for each in await stores.tenants.list()]
                known = ", ".join(ids[:_NAMED]) + (", …" if len(ids) > _NAMED else "")
                raise TenantNotFoundError(
                    f"There is no tenant {tenant!r} (there are: {known}); `baud keys create --make-tenant` makes one."
                ) from error

    with explained():
        return asyncio.run(opened())


def _print_new(new: NewApiKey) -> None:
    key = new.key
    if new.is_new_user:
        typer.echo(f"made the user {key.user_id} of the tenant {key.tenant}", err=True)
    end = isoformat(key.expires_at) if key.expires_at else "it is revoked"
    typer.echo(f"key {key.id} of {key.user_id} in {key.tenant}, valid until {end}; it is shown this once:", err=True)
    typer.echo(new.text)


def _table(keys: tuple[ApiKey, ...], now: datetime) -> Table:
    made, last_used, until = (Column(name, no_wrap=True) for name in ("made", "last used", "valid until"))
    table = Table(Column("begins with", no_wrap=True), "user", "scopes", "name", made, last_used, until)
    for key in keys:
        row = (
            key.prefix,
            key.user_id,
            ", ".join(sorted(key.scopes)),
            key.name,
            _day(key.created_at),
            _day(key.last_used_at),
            _end(key, now),
        )
        table.add_row(*(Text(text, overflow="fold") for text in row))
    return table


def _end(key: ApiKey, now: datetime) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.is_expired(now) else _day(key.expires_at)


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d}" if moment else _NEVER


def _as_json(key: ApiKey) -> dict[str, object]:
    times = ("created_at", "expires_at", "last_used_at", "revoked_at")
    return {
        "id": key.id,
        "tenant": key.tenant,
        "user_id": key.user_id,
        "prefix": key.prefix,
        "scopes": sorted(key.scopes),
        "name": key.name,
        **{name: isoformat(moment) if (moment := getattr(key, name)) else None for name in times},
    }
